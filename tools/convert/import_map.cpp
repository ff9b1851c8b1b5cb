#include <algorithm>
#include <array>
#include <map>

#include "imports.hpp"
#include "sds/format/yaml_map.hpp"

namespace sds {

namespace {

const std::map<std::string, DateOrder> kDateOrders{
    {"dmy", DateOrder::dmy}, {"mdy", DateOrder::mdy}, {"ymd", DateOrder::ymd}};
const std::map<std::string, SecondRow> kSecondRows{
    {"units", SecondRow::units}, {"values", SecondRow::values}, {"skipped", SecondRow::skipped}};

}  // namespace

Expected<void> load_import_map(const std::filesystem::path& path, ImportOptions& options) {
  return read_yaml_file(path, [&](const YAML::Node& root) {
    YamlMap top(root, "the file");
    YamlMap map(top.need("import"), "import");
    options.stream = map.string("stream", options.stream);
    const YAML::Node rate = map.find("rate");
    if (rate.IsDefined()) {
      auto parsed = Frequency::parse(yaml_string(rate, "rate"));
      if (!parsed) yaml_problem(rate, "'rate:' " + parsed.error().message);
      options.rate = *parsed;
    }
    const YAML::Node time = map.find("time");
    if (time.IsDefined()) {
      YamlMap one(time, "time");
      options.time_column = one.string("column", "");
      options.time_unit = one.string("unit", "");
      options.date_column = one.string("date", "");
      static const std::array<std::string, 7> units{"", "s", "ms", "us", "ns", "min", "h"};
      if (std::find(units.begin(), units.end(), options.time_unit) == units.end())
        yaml_problem(one.find("unit"), "'unit:' must be s, ms, us, ns, min or h");
      one.finish();
    }
    const std::string decimal = map.string("decimal", "");
    if (!decimal.empty() && decimal != "point" && decimal != "comma")
      yaml_problem(map.find("decimal"), "'decimal:' must be point or comma");
    if (!decimal.empty()) options.decimal = decimal == "comma" ? ',' : '.';
    options.skip_lines = map.integer("skip-lines", options.skip_lines, 0, 1'000'000);
    options.header = map.flag("header", options.header);
    const YAML::Node labels = map.find("labels");
    if (labels.IsDefined() && labels.IsSequence())
      for (const auto& name : labels) options.label_columns.push_back(yaml_string(name, "labels"));
    else if (labels.IsDefined())
      options.label_columns = {yaml_string(labels, "labels")};
    const std::string order = map.string("date-order", "");
    if (!order.empty() && !kDateOrders.contains(order))
      yaml_problem(map.find("date-order"), "'date-order:' must be dmy, mdy or ymd");
    if (!order.empty()) options.date_order = kDateOrders.at(order);
    const std::string second = map.string("second-row", "");
    if (!second.empty() && !kSecondRows.contains(second))
      yaml_problem(map.find("second-row"), "'second-row:' must be units, values or skipped");
    if (!second.empty()) options.second_row = kSecondRows.at(second);
    const std::string zone = map.string("utc-offset", "");
    if (!zone.empty()) options.utc_offset_s = parse_utc_offset(zone);
    if (!zone.empty() && !options.utc_offset_s)
      yaml_problem(map.find("utc-offset"), "'utc-offset:' must be like +02:00");
    const YAML::Node columns = map.find("columns");
    if (columns.IsDefined()) {
      if (!columns.IsSequence()) yaml_problem(columns, "'columns:' must be a list");
      for (const auto& item : columns) {
        YamlMap one(item, "a column");
        const std::string name = yaml_string(one.need("column"), "column");
        if (!options.columns.emplace(name, ImportColumn{one.string("name", name), one.string("unit", "")}).second)
          yaml_problem(item, "column '" + name + "' is to be taken twice");
        one.finish();
      }
    }
    map.finish();
    top.finish();
  });
}

}  // namespace sds
