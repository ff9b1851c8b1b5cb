#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <cmath>

#include "exports.hpp"
#include "sds/format/names.hpp"
#include "sds/format/partial_file.hpp"

namespace sds {

namespace {

using Byte = std::uint8_t;

Byte clamp(double value) { return static_cast<Byte>(std::min(255.0, std::max(0.0, std::round(value)))); }

// ITU-R BT.601: limited range (16 to 235) as cameras give it, or full range.
void yuv_to_rgb(int y, int u, int v, bool full, Byte* rgb) {
  const double luma = full ? y : 255.0 / 219 * (y - 16);
  const double scale = full ? 1.0 : 255.0 / 224;
  const double cb = scale * (u - 128);
  const double cr = scale * (v - 128);
  rgb[0] = clamp(luma + 1.402 * cr);
  rgb[1] = clamp(luma - 0.344136 * cb - 0.714136 * cr);
  rgb[2] = clamp(luma + 1.772 * cb);
}

// Where the rows of a frame's planes begin.
struct Frame {
  const Byte* data;
  const ImageFormat& format;
  std::vector<std::size_t> planes;
  [[nodiscard]] const Byte* row(std::size_t plane, std::uint32_t y) const {
    const auto& strides = format.stride_bytes;
    return data + planes[plane] + std::size_t{y} * strides[std::min(plane, strides.size() - 1)];
  }
};

// Bytes that a row of a plane has at least, and rows of it; empty for a format that is not known.
struct PlaneShape {
  std::size_t row_bytes;
  std::size_t rows;
};
std::vector<PlaneShape> plane_shapes(const ImageFormat& f) {
  const std::size_t w = f.width;
  const std::size_t h = f.height;
  const std::size_t half_w = (w + 1) / 2;
  const std::size_t half_h = (h + 1) / 2;
  const std::string& p = f.pixel_format;
  if (p == "RAW8") return {{w, h}};
  if (p == "RGB565") return {{2 * w, h}};
  if (p == "RGB888" || p == "BGR888" || p == "YUV444") return {{3 * w, h}};
  if (p == "YUYV" || p == "UYVY") return {{4 * half_w, h}};
  if (p == "NV12" || p == "NV21") return {{w, h}, {2 * half_w, half_h}};
  if (p == "I420") return {{w, h}, {half_w, half_h}, {half_w, half_h}};
  if (p == "YUV444P") return {{w, h}, {w, h}, {w, h}};
  return {};
}

void row_to_rgb(const Frame& frame, std::uint32_t y, Byte* out) {
  const std::string& format = frame.format.pixel_format;
  const std::size_t width = frame.format.width;
  const Byte* row = frame.row(0, y);
  for (std::size_t x = 0; x < width; ++x, out += 3) {
    if (format == "RAW8") {
      out[0] = row[x];
    } else if (format == "RGB888") {
      std::copy_n(row + 3 * x, 3, out);
    } else if (format == "BGR888") {
      std::reverse_copy(row + 3 * x, row + 3 * x + 3, out);
    } else if (format == "RGB565") {
      const unsigned v = row[2 * x] | static_cast<unsigned>(row[2 * x + 1]) << 8;
      out[0] = static_cast<Byte>((v >> 11) * 255 / 31);
      out[1] = static_cast<Byte>((v >> 5 & 63) * 255 / 63);
      out[2] = static_cast<Byte>((v & 31) * 255 / 31);
    } else if (format == "YUYV") {
      const Byte* pair = row + 4 * (x / 2);
      yuv_to_rgb(pair[2 * (x % 2)], pair[1], pair[3], false, out);
    } else if (format == "UYVY") {
      const Byte* pair = row + 4 * (x / 2);
      yuv_to_rgb(pair[1 + 2 * (x % 2)], pair[0], pair[2], false, out);
    } else if (format == "NV12" || format == "NV21") {
      const Byte* chroma = frame.row(1, y / 2) + 2 * (x / 2);
      const bool swapped = format == "NV21";
      yuv_to_rgb(row[x], chroma[swapped ? 1 : 0], chroma[swapped ? 0 : 1], false, out);
    } else if (format == "I420") {
      yuv_to_rgb(row[x], frame.row(1, y / 2)[x / 2], frame.row(2, y / 2)[x / 2], false, out);
    } else if (format == "YUV444") {
      yuv_to_rgb(row[3 * x], row[3 * x + 1], row[3 * x + 2], true, out);
    } else {  // YUV444P
      yuv_to_rgb(row[x], frame.row(1, y)[x], frame.row(2, y)[x], true, out);
    }
  }
}

Expected<void> write_png(const Frame& frame, PartialFile& file) {
  const bool gray = frame.format.pixel_format == "RAW8";
  std::vector<Byte> pixels(std::size_t{frame.format.width} * frame.format.height * (gray ? 1 : 3));
  std::vector<Byte> rgb(3 * std::size_t{frame.format.width});
  for (std::uint32_t y = 0; y < frame.format.height; ++y) {
    Byte* to = pixels.data() + std::size_t{y} * frame.format.width * (gray ? 1 : 3);
    if (gray) {
      std::copy_n(frame.row(0, y), frame.format.width, to);
    } else {
      row_to_rgb(frame, y, to);
    }
  }
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = frame.format.width;
  image.height = frame.format.height;
  image.format = gray ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
  Bytes png(bytes);
  if (png_image_write_to_memory(&image, png.data(), &bytes, 0, pixels.data(), 0, nullptr) == 0)
    return fail(ErrorCode::limit, std::string("cannot make a picture: ") + image.message, file.final_path());
  return file.sink().append(ByteView(png).first(bytes));
}

// How the names of a stream's frames begin; streams of one recording begin differently.
std::string frame_stem(const Recording& recording, std::size_t index) {
  static constexpr std::string_view longest = ".0000000000.png";
  FileNames names;
  for (std::size_t i = 0; i < index; ++i) names.take(recording.streams()[i].id, longest);
  const std::string name = names.take(recording.streams()[index].id, longest);
  return name.substr(0, name.size() - longest.size());
}

}  // namespace

Expected<ExportReport> export_images(const Recording& recording, std::size_t index,
                                     const std::filesystem::path& directory, const ExportOptions& options,
                                     const OnProgress& on_progress) {
  const StreamInfo& stream = recording.streams()[index];
  if (stream.metadata_error) return tl::unexpected<Error>(*stream.metadata_error);
  if (!stream.metadata || !stream.metadata->image)
    return fail(ErrorCode::usage, fmt::format("stream {} holds no images: its metadata has no 'image:'", stream.id),
                stream.path);
  const ImageFormat& format = *stream.metadata->image;
  const std::string stem = frame_stem(recording, index);
  std::vector<std::size_t> planes;
  if (!options.raw_frames) {
    const auto shapes = plane_shapes(format);
    if (shapes.empty())
      return fail(
          ErrorCode::unsupported,
          fmt::format("pixel format {} is not known (--raw writes the frames as they are)", format.pixel_format),
          stream.path);
    std::size_t at = 0;
    for (std::size_t p = 0; p < shapes.size(); ++p) {
      planes.push_back(at);
      const std::size_t stride = format.stride_bytes[std::min(p, format.stride_bytes.size() - 1)];
      if (stride < shapes[p].row_bytes)
        return fail(ErrorCode::bad_input,
                    fmt::format("a row of {} pixels in {} needs {} bytes, but the stride is {}", format.width,
                                format.pixel_format, shapes[p].row_bytes, stride),
                    stream.path);
      at += stride * shapes[p].rows;
    }
    // Planes may be listed as one: then one stride stands for all, and the frame must still hold them.
    if (at > format.frame_bytes)
      return fail(ErrorCode::bad_input,
                  fmt::format("a frame of {} x {} in {} needs {} bytes, but has {}: list its 'planes:'", format.width,
                              format.height, format.pixel_format, at, format.frame_bytes),
                  stream.path);
  }
  if (auto made = make_directories(directory); !made) return fail(made);
  auto cursor = recording.cursor(index, nullptr, time_filter(recording, index, options.samples.within));
  if (!cursor) return fail(cursor);
  ExportReport report;
  std::uint64_t odd = 0;
  for (;;) {
    auto block = (*cursor)->next();
    if (!block) return fail(block);
    if (!*block) break;
    const BlockView& b = **block;
    if (auto go_on = sds::report(on_progress, b.data.size() + 8); !go_on) return fail(go_on);
    if (!contains(options.samples.within, seconds(b.tick, stream.tick_frequency()))) continue;
    if (b.data.size() % format.frame_bytes != 0) ++odd;
    for (std::size_t at = 0; at + format.frame_bytes <= b.data.size(); at += format.frame_bytes) {
      const auto path =
          directory / fmt::format("{}.{:06}.{}", stem, report.samples, options.raw_frames ? "raw" : "png");
      auto file = PartialFile::create(path, if_exists(options.force));
      if (!file) return fail(file);
      const Frame frame{reinterpret_cast<const Byte*>(b.data.data() + at), format, planes};
      auto done =
          options.raw_frames ? file->sink().append(b.data.subspan(at, format.frame_bytes)) : write_png(frame, *file);
      if (done) done = file->keep(false);
      if (!done) return fail(done);
      ++report.samples;
      report.files.push_back(path);
    }
  }
  if (auto synced = sync_directory(directory); !synced) return fail(synced);
  if (odd > 0)
    report.notes.push_back(
        fmt::format("{}: {} blocks are no whole number of frames of {} bytes", stream.id, odd, format.frame_bytes));
  report.streams = 1;
  return report;
}

}  // namespace sds
