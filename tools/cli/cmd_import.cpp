// sds import FORMAT: recordings from other tools' files.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "command.hpp"
#include "imports.hpp"
#include "option_values.hpp"
#include "outputs.hpp"
#include "progress_line.hpp"
#include "report.hpp"

namespace sds::cli {

namespace {

using Function = Expected<ImportReport> (*)(const std::filesystem::path&, const std::filesystem::path&,
                                            const ImportOptions&, const OnProgress&);

struct ImportArguments {
  std::filesystem::path input;
  std::filesystem::path output;
  ImportOptions import;
  std::string rate;
  std::string tick_frequency;
  std::string delimiter;
  std::string decimal;
  std::string utc_offset;
  bool no_header = false;
  bool no_labels = false;
  bool no_date = false;
  std::vector<std::string> columns;
  std::filesystem::path map;
  bool json = false;
};

// "ax", "ax=x", "ax=x:G": a column, its new name, its unit.
ImportColumn parse_column(const std::string& text, std::string& column) {
  const std::size_t equals = text.rfind('=');
  column = text.substr(0, equals);
  if (equals == std::string::npos) return {column, ""};
  const std::string rest = text.substr(equals + 1);
  const std::size_t colon = rest.rfind(':');
  return {rest.substr(0, colon), colon == std::string::npos ? "" : rest.substr(colon + 1)};
}

int run_import(ImportArguments o, Function function) {
  if (!o.map.empty()) {
    // What the command line says counts before what the file says.
    const ImportOptions given = o.import;
    o.import.label_columns.clear();
    if (auto loaded = load_import_map(o.map, o.import); !loaded) return fail_with(loaded.error());
    if (!given.stream.empty()) o.import.stream = given.stream;
    if (!given.time_column.empty()) {
      o.import.time_column = given.time_column;
      o.import.time_unit = given.time_unit;  // the file's is of its own column
      o.import.date_column = given.date_column;
    }
    if (!given.date_column.empty() || o.no_date) o.import.date_column = given.date_column;
    if (given.date_order != DateOrder::told) o.import.date_order = given.date_order;
    if (given.second_row != SecondRow::found) o.import.second_row = given.second_row;
    if (!given.time_unit.empty()) o.import.time_unit = given.time_unit;
    if (!given.label_columns.empty()) o.import.label_columns = given.label_columns;
    if (given.skip_lines > 0) o.import.skip_lines = given.skip_lines;
  }
  for (const auto& [text, target] :
       {std::pair{&o.rate, &o.import.rate}, {&o.tick_frequency, &o.import.tick_frequency}}) {
    if (text->empty()) continue;
    auto parsed = Frequency::parse(*text);
    if (!parsed) return fail_with({ErrorCode::usage, fmt::format("'{}': {}", *text, parsed.error().message), {}, {}});
    *target = *parsed;
  }
  if (!o.decimal.empty()) o.import.decimal = o.decimal == "comma" ? ',' : '.';
  if (!o.utc_offset.empty()) {
    o.import.utc_offset_s = parse_utc_offset(o.utc_offset);
    if (!o.import.utc_offset_s)
      return fail_with(
          {ErrorCode::usage, fmt::format("--utc-offset '{}': expected +02:00, -05:30 or UTC", o.utc_offset), {}, {}});
  }
  if (o.no_header) o.import.header = false;
  if (o.no_labels) o.import.labels = false;
  if (o.no_date) o.import.dates = false;
  if (!o.delimiter.empty()) o.import.delimiter = o.delimiter == "tab" ? '\t' : o.delimiter.front();
  std::set<std::string> named;
  for (const auto& text : o.columns) {
    std::string column;
    const ImportColumn becomes = parse_column(text, column);
    if (!named.insert(column).second)
      return fail_with({ErrorCode::usage, fmt::format("--column {}: given twice", column), {}, {}});
    o.import.columns[column] = becomes;
  }
  std::error_code ignored;
  const auto bytes = std::filesystem::file_size(o.input, ignored);
  auto report = [&] {
    Progress progress("importing", ignored ? 0 : 2 * bytes);
    return function(o.input, o.output, o.import, progress.callback());
  }();
  if (!report) return fail_with(report.error());
  for (const auto& how : report->found) note(how);
  for (const auto& warning : report->notes) warn(warning);
  for (const auto& loss : report->losses) warn(fmt::format("{}: {}; what is there is kept", o.input.string(), loss));
  const int exit_code = report->losses.empty() ? 0 : 3;
  if (o.json) {
    print_json(nlohmann::json{{"output", o.output.string()},
                              {"streams", report->streams},
                              {"samples", report->samples},
                              {"labels", report->labels},
                              {"found", report->found},
                              {"notes", report->notes},
                              {"losses", report->losses}});
    return exit_code;
  }
  fmt::print("{}: {}, {}{}\n", o.output.string(), counted(report->streams, "stream"),
             counted(report->samples, "sample"), report->labels > 0 ? ", " + counted(report->labels, "label") : "");
  return exit_code;
}

Command* add_format(Command& importer, Run& run, const char* name, const char* description, const char* footer,
                    const std::shared_ptr<ImportArguments>& o, Function function) {
  auto* command = importer.add_subcommand(name, description);
  names_inputs(*command->add_option("input", o->input, "The file to read")->required());
  command->add_option("-o,--output", o->output, "The .sdsz to write")
      ->required()
      ->check(names_recording())
      ->type_name("FILE");
  command->add_flag("-f,--force", o->import.force, "Replace an existing output");
  command->add_flag("--json", o->json, "Report as JSON");
  command->footer(footer);
  command->callback([o, function, &run] { run = [o, function] { return run_import(*o, function); }; });
  return command;
}

void add_numbers(Command& command, ImportArguments& o) {
  const std::map<std::string, ImportType> types{{"auto", ImportType::automatic}, {"int16", ImportType::i16},
                                                {"int32", ImportType::i32},      {"int64", ImportType::i64},
                                                {"uint64", ImportType::u64},     {"float", ImportType::f32},
                                                {"double", ImportType::f64}};
  command
      .add_option("--type", o.import.type,
                  "Type of the values (default auto: the smallest that holds each column exactly)")
      ->transform(takes_word(types))
      ->type_name("auto|int16|int32|int64|uint64|float|double");
  command
      .add_option("--tick-frequency", o.tick_frequency,
                  "Resolution of times (default: 1000 if that is exact, else 1e6)")
      ->transform(takes_frequency())
      ->type_name("HZ");
  command.add_option("--tick-rate", o.tick_frequency)
      ->transform(takes_frequency())
      ->excludes("--tick-frequency")
      ->group("");
}

}  // namespace

void add_import(Command& app, Run& run) {
  auto* importer = app.add_subcommand("import", "Make recordings of other tools' files");
  importer->require_subcommand(1);
  importer->footer("docs/imports.md tells what each format brings along, and what is not kept.");
  const auto options = [] { return std::make_shared<ImportArguments>(); };

  auto o = options();
  auto* csv = add_format(*importer, run, "csv", "A table with a header",
                         "Example: sds import csv imu.csv -o imu.sdsz --time t_ms --column ax=x:G --column ay=y:G", o,
                         import_csv);
  csv->add_option("-s,--stream", o->import.stream, "Name of the stream (default: the file's)")->type_name("NAME");
  csv->add_option("--time", o->import.time_column,
                  "The column with the times (default: time, timeslot, timestamp or t)")
      ->type_name("COLUMN");
  csv->add_option("--time-unit", o->import.time_unit,
                  "Unit of the times (default: a word of the column's name, else s)")
      ->check(one_of({"s", "ms", "us", "ns", "min", "h"}));
  auto* date = csv->add_option("--date", o->import.date_column,
                               "The column with the days of times of day (default: date, if it has days)")
                   ->type_name("COLUMN");
  csv->add_flag("--no-date", o->no_date, "Times of day count from midnight, whatever column has days")->excludes(date);
  csv->add_option(
         "--date-order", o->import.date_order,
         "Of dates like 01/05/2024: day, month and year (default: the one that fits all; 01.05. is a first of May)")
      ->transform(takes_word(
          std::map<std::string, DateOrder>{{"dmy", DateOrder::dmy}, {"mdy", DateOrder::mdy}, {"ymd", DateOrder::ymd}}))
      ->type_name("dmy|mdy|ymd");
  csv->add_option("--second-row", o->import.second_row,
                  "What the row below the header is (default: units, if it has texts where numbers follow)")
      ->transform(takes_word(std::map<std::string, SecondRow>{
          {"units", SecondRow::units}, {"values", SecondRow::values}, {"skipped", SecondRow::skipped}}))
      ->type_name("units|values|skipped");
  csv->add_option("--rate", o->rate, "Sample rate, where there are no times: 100, 100Hz, 16kHz")
      ->transform(takes_frequency())
      ->type_name("HZ");
  csv->add_option("--column", o->columns, "Take only this column, as NAME, in UNIT. May be given several times")
      ->type_name("COLUMN[=NAME[:UNIT]]");
  csv->add_option("--delimiter", o->delimiter, "Between fields (default: , ; | or tab, by the header)")
      ->check([](const std::string& text) -> std::string {
        if (text == "tab" || (text.size() == 1 && text != "\"" && text != "\n" && text != "\r")) return "";
        return "'" + text + "': expected one character, or tab";
      })
      ->type_name("CHAR|tab");
  csv->add_option("--decimal", o->decimal, "Numbers have a decimal point or comma (default: as the first one has it)")
      ->check(one_of({"point", "comma"}));
  csv->add_option("--skip-lines", o->import.skip_lines, "Lines in front of the header that are none of the table")
      ->type_name("N");
  csv->add_flag("--no-header", o->no_header, "There is no header: columns are called column_1, column_2, ...");
  auto* label_column =
      csv->add_option("--label-column", o->import.label_columns,
                      "A column whose texts become labels (default: label, class and activity). May be "
                      "given several times")
          ->type_name("COLUMN");
  csv->add_flag("--no-labels", o->no_labels, "Texts do not become labels")->excludes(label_column);
  csv->add_option("--utc-offset", o->utc_offset, "Of dates that say none (default: they are UTC)")->type_name("+HH:MM");
  names_inputs(*csv->add_option("--map", o->map, "Columns, times and rate from a YAML file (docs/imports.md)")
                    ->type_name("FILE"));
  add_numbers(*csv, *o);

  o = options();
  auto* audio = add_format(*importer, run, "audio", "WAV, FLAC and everything else that libsndfile reads",
                           "Example: sds import audio clip.wav -o clip.sdsz -s Microphone", o, import_audio);
  audio->add_option("-s,--stream", o->import.stream, "Name of the stream (default: the file's)")->type_name("NAME");

  o = options();
  auto* qeexo =
      add_format(*importer, run, "qeexo", "Qeexo AutoML's CSV, version 2",
                 "A stream a sensor; labels go into the label file.\n\nExample: sds import qeexo data.csv -o data.sdsz",
                 o, import_qeexo);
  qeexo
      ->add_option("--interval", o->import.interval_s,
                   "How long the samples of a row last (default: what fits all rows; a number alone: seconds)")
      ->transform(takes_time())
      ->type_name("TIME")
      ->check(positive_number());
  add_numbers(*qeexo, *o);

  o = options();
  auto* edge = add_format(*importer, run, "edge-impulse", "Edge Impulse's data acquisition format, JSON or CBOR",
                          "Example: sds import edge-impulse walk.1.json -o walk.sdsz", o, import_edge_impulse);
  edge->add_option("-s,--stream", o->import.stream, "Name of the stream (default: the file's)")->type_name("NAME");
  add_numbers(*edge, *o);

  o = options();
  auto* mcap = add_format(
      *importer, run, "mcap", "MCAP files with JSON messages",
      "A stream a topic; a channel for every number in its messages.\n\nExample: sds import mcap run.mcap -o run.sdsz",
      o, import_mcap);
  add_numbers(*mcap, *o);

  o = options();
  auto* xdf = add_format(*importer, run, "xdf", "LabRecorder's XDF",
                         "Clock offsets are applied; streams of text become labels.\n\nExample: sds import xdf "
                         "session.xdf -o session.sdsz",
                         o, import_xdf);
  add_numbers(*xdf, *o);
}

}  // namespace sds::cli
