// sds export FORMAT: the options of each format.
#include <array>
#include <map>

#include "command.hpp"
#include "export_options.hpp"
#include "option_values.hpp"

namespace sds::cli {

namespace {

using Format = ExportFormat;

struct FormatInfo {
  Format format;
  const char* name;
  const char* extension;
  const char* description;
  const char* footer;
};

constexpr std::array kFormats{
    FormatInfo{Format::csv, "csv", "csv", "Comma-separated values: a time column, then one column a value",
               "Values are physical: raw * scale + offset. Numbers are the shortest that read back exactly.\n\n"
               "Example: sds export csv walk.sdsz -s Imu -o imu.csv --normalize"},
    FormatInfo{Format::audio, "wav", "wav", "WAV: audio, or sensors as the channels of an audio file",
               "Integers stay the same integers, floats the same floats. Beyond 4 GB the file is RF64.\n\n"
               "Example: sds export wav walk.sdsz -s Microphone -o walk.wav"},
    FormatInfo{Format::audio, "flac", "flac", "FLAC: lossless audio of up to 24 bits and 8 channels",
               "Example: sds export flac walk.sdsz -s Microphone -o walk.flac"},
    FormatInfo{Format::audio, "audio", "wav",
               "Any format of libsndfile by the output's name: .aiff .au .caf .w64 .rf64 .ogg ...",
               "Example: sds export audio walk.sdsz -s Microphone -o walk.aiff"},
    FormatInfo{
        Format::hdf5, "hdf5", "h5",
        "HDF5: a group a recording, a dataset a channel (h5py, MATLAB); or windows for training",
        "Raw values with the attributes scale, offset and unit; labels as a group. All recordings go into one file.\n\n"
        "Example: sds export hdf5 *.sdsz -o all.h5\n"
        "Example: sds export hdf5 *.sdsz -s Imu --window 2s --stride 500ms --split 80/10/10 -o dataset"},
    FormatInfo{Format::npz, "npz", "npz", "NumPy: a structured array a stream; or windows for training",
               "numpy.load(FILE)['Imu']['ax'] are the raw values (--physical: scaled), ['Imu.time'] the seconds.\n\n"
               "Example: sds export npz *.sdsz -s Imu --window 2s --stride 500ms --split 80/10/10 -o dataset"},
    FormatInfo{Format::qeexo, "qeexo", "csv", "Qeexo AutoML's CSV, version 2, as Arm's sds-convert writes it",
               "Example: sds export qeexo walk.sdsz -s Accelerometer -o walk.csv --class walk"},
    FormatInfo{
        Format::edge_impulse, "edge-impulse", "json", "Edge Impulse's data acquisition format, JSON or CBOR",
        "Files in a directory are called <class>.<recording>.json: Edge Impulse takes the class from the name. With\n"
        "--multi-label all labels go into one file, and info.labels says what they are.\n\n"
        "Example: sds export edge-impulse *.sdsz -s Imu --split 80/20 -o upload"},
    FormatInfo{Format::mcap, "mcap", "mcap", "MCAP with JSON messages, for Foxglove",
               "Example: sds export mcap walk.sdsz -o walk.mcap"},
    FormatInfo{Format::images, "images", "png", "The frames of image streams as PNG, or as they are",
               "Example: sds export images camera.sdsz -o frames"},
};

void add_format(Command& exporter, const FormatInfo& info, Run& run) {
  auto* command = exporter.add_subcommand(info.name, info.description);
  auto o = std::make_shared<ExportCommand>();
  o->format = info.format;
  o->format_name = info.name;
  o->extension = info.extension;
  o->input.add_to(*command, "Recordings: each .sdsz is one; .sds files are the streams of one", true);
  command
      ->add_option("-o,--output", o->output,
                   info.format == Format::csv
                       ? "File to write (default: standard output); a directory for several streams or recordings"
                       : "File to write; a directory for several streams or recordings")
      ->type_name("FILE|DIR");
  command->add_option("-s,--stream", o->streams, "Export only this stream. May be given several times")
      ->type_name("ID");
  o->part.add_to(*command);
  if (info.format != Format::images && info.format != Format::qeexo) {
    const std::map<std::string, SampleTimes> names{{"metadata", SampleTimes::metadata},
                                                   {"rate", SampleTimes::rate},
                                                   {"block", SampleTimes::block},
                                                   {"interpolate", SampleTimes::interpolate}};
    command
        ->add_option(
            "--times", o->exports.samples.times,
            "Times of the samples of a block: by `rate`, sample k at block time + k / sample-frequency; `block`, "
            "all at the block's time; `metadata`, rate if there is a sample-frequency, else block (default); "
            "`interpolate`, spread up to the next block as Arm's sds-convert does")
        ->transform(takes_word(names))
        ->type_name("metadata|rate|block|interpolate");
  }
  if (info.format == Format::csv || info.format == Format::hdf5 || info.format == Format::npz ||
      info.format == Format::mcap || info.format == Format::qeexo)
    command->add_flag("--normalize", o->exports.samples.normalize, "Let the first block's time be 0");
  if (info.format == Format::csv) {
    command->add_option("--start-timeslot", o->part.from, "The same as --from")
        ->transform(takes_time())
        ->type_name("TIME");
    command->add_option("--stop-timeslot", o->part.to, "The same as --to")->transform(takes_time())->type_name("TIME");
  }
  command->add_flag("-f,--force", o->exports.force, "Replace existing outputs");
  if (info.format == Format::audio || info.format == Format::hdf5 || info.format == Format::npz)
    command->add_flag("--physical", o->exports.physical, "Scaled values as floats instead of raw ones");
  if (info.format == Format::hdf5)
    command->add_option("--deflate", o->exports.deflate, "Compression level, 0 (none) to 12 (default 1)")
        ->check(in_range(0, 12));
  if (info.format == Format::npz) command->add_flag("--compress", o->exports.compress, "Deflate the arrays");
  if (info.format == Format::qeexo) {
    command->add_option("--interval", o->exports.interval_s, "Length of a row (default 50ms; a number alone: seconds)")
        ->transform(takes_time_of_milliseconds())
        ->type_name("TIME");
    command->add_option("--class", o->exports.label, "The label of every row (default: the recording's labels)")
        ->type_name("NAME");
  }
  if (info.format == Format::edge_impulse) {
    command->add_flag("--cbor", o->cbor, "CBOR instead of JSON");
    command
        ->add_option("--class", o->exports.label, "The class in the file's name (default: the recording's main label)")
        ->type_name("NAME");
    command->add_option("--device-type", o->exports.device_type, "What device it was (default sdskit)")
        ->type_name("NAME");
  }
  if (info.format == Format::edge_impulse) {
    command->add_flag("--multi-label", o->exports.multi_label,
                      "All labels of a stream in one file, and their classes in info.labels beside it");
    command
        ->add_option("--rest-class", o->info_labels.rest,
                     "With --multi-label: the class of what has no label (default unlabelled)")
        ->check([](const std::string& name) { return std::string(name.empty() ? "a class needs a name" : ""); })
        ->type_name("NAME");
    command
        ->add_option("--label-index", o->info_labels.in_samples,
                     "What info.labels counts: `samples`, as Edge Impulse's uploader takes it (default), or "
                     "`milliseconds`, as its documentation says")
        ->transform(takes_word(std::map<std::string, bool>{{"milliseconds", false}, {"samples", true}}))
        ->type_name("milliseconds|samples");
  }
  if (info.format == Format::images)
    command->add_flag("--raw", o->exports.raw_frames, "The frames' bytes instead of PNG");
  if (info.format == Format::hdf5 || info.format == Format::npz) {
    command
        ->add_option(
            "--window", o->window_text,
            "Cut windows of this length, such as 2s or 500ms: x, y, classes for training. Of several streams (-s) each "
            "has what all of them have in one span of time")
        ->type_name("TIME");
    command->add_option("--stride", o->stride_text, "From one window's begin to the next one's (default: the window)")
        ->type_name("TIME");
    command
        ->add_option("--channel", o->channels,
                     "Windows: only this channel, of several streams STREAM.NAME, too. May be given several times")
        ->type_name("NAME");
    command
        ->add_option("--label-share", o->window.min_label_share,
                     "A window has a class if it covers at least so much of it: 0.6, 60% (default 0.5)")
        ->transform(takes_share())
        ->type_name("SHARE");
    command->add_flag("--unlabelled", o->window.keep_unlabelled, "Keep windows without a class, as y = -1");
  }
  command
      ->add_option("--split", o->split,
                   "Share recordings out to train/validation/test, in per cent, such as 80/10/10; writes manifest.yml")
      ->type_name("A/B/C");
  command
      ->add_option("--split-by", o->split_options.by,
                   "What is kept together: session (default: what was cut from one session, and copies), recording "
                   "(nothing is), device, label (of the file's name), or a key of the session")
      ->type_name("KEY");
  command->add_option("--seed", o->split_options.seed, "Another seed, another split (default 1)")->type_name("N");
  command->add_flag("--each", o->each, "Every .sds file is a recording of its own");
  command->add_option("-j,--jobs", o->jobs, "Threads (default: one for each core)")->type_name("N");
  command->add_flag("--json", o->json, "Report as JSON");
  command->footer(info.footer);
  command->callback([o, command, &run] {
    if (o->format_name == "audio" && !std::filesystem::path(o->output).extension().empty())
      o->extension = std::filesystem::path(o->output).extension().string().substr(1);
    if (o->cbor) o->extension = "cbor";
    for (const auto& option : command->given()) o->given.insert(option.name);
    run = [o] { return run_export(*o); };
  });
}

}  // namespace

void add_export(Command& app, Run& run) {
  auto* exporter = app.add_subcommand("export", "Export streams and datasets in formats that other tools read");
  exporter->require_subcommand(1);
  exporter->footer("docs/exports.md tells what each format keeps, and has the layouts.");
  for (const auto& info : kFormats) add_format(*exporter, info, run);
}

}  // namespace sds::cli
