// The stages that compute features; what they compute is in sds/sds_features.h, for targets too.
#pragma once

#include <optional>
#include <vector>

#include "sds/sds_features.h"
#include "stages.hpp"

namespace sds::pipeline {

/// Every stage of this file takes physical values in single precision and gives floats.

struct Fft {
  std::uint32_t length = 0;  ///< 0: the next power of two that holds the window
  sds_taper_t taper = SDS_TAPER_NONE;
  bool power = false;  ///< squares of the magnitudes
};
/// Of each column of a window: the spectrum's length / 2 + 1 bins.
StagePtr make_fft(const Fft& fft);

struct Mfcc {
  /// `samples`, and where they are 0 `frame_length`, `frame_stride`, `fft_length`, `rate` and `high`, follow from what
  /// comes in.
  sds_mfcc_config_t config{};
  const char* kind = "mel";  ///< what a value is called: mel, mfcc
};
/// Of a window of one column: of each of its frames the logarithms of Mel filters, or cepstral coefficients.
StagePtr make_mfcc(const Mfcc& mfcc);

/// Filters in series; those of Butterworth need the rate of what comes in.
struct Filter {
  struct Butterworth {
    sds_pass_t pass = SDS_LOWPASS;
    double cutoff = 0;
  };
  std::vector<Butterworth> butterworth;
  std::uint32_t order = 2;
  double rate = 0;                     ///< samples a second; 0: the stream's own
  std::vector<sds_biquad_t> sections;  ///< or these
  bool fixed = false;                  ///< whole numbers: stored values of up to 24 bits, and int32_t comes out
};
/// Of each column of a stream, from block to block.
StagePtr make_filter(Filter filter);

/// Of each column of a window, these of sds_statistics_t.
StagePtr make_statistics(std::vector<std::string> names);
/// Which there are.
const std::vector<std::string>& statistics_names();

}  // namespace sds::pipeline
