// Parsing of `.sds.yml`: Arm's schema 3.1 (schema/sds.schema.json, documentation/theory.md) and its older forms.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "sds/format/limits.hpp"
#include "sds/format/metadata.hpp"
#include "sds/format/yaml_map.hpp"

namespace sds {

namespace {

// Thrown inside this file only: yaml-cpp reports by exceptions anyway, and parse() turns both into an Error.
struct MetadataProblem {
  int line;  // from 0, or -1 where unknown
  std::string message;
};

[[noreturn]] void problem(const YAML::Node& where, std::string message) {
  throw MetadataProblem{where.IsDefined() ? where.Mark().line : -1, std::move(message)};
}

std::string text_of(const YAML::Node& node, std::string_view key) {
  if (!node.IsScalar()) problem(node, fmt::format("'{}:' must be a single value", key));
  return node.Scalar();
}

std::uint32_t positive_integer(const YAML::Node& node, std::string_view key) {
  const std::string text = text_of(node, key);
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value == 0)
    problem(node, fmt::format("'{}: {}' must be a whole number of at least 1", key, text.substr(0, 40)));
  return value;
}

double number(const YAML::Node& node, std::string_view key) {
  const std::string text = text_of(node, key);
  double value = 0;
  const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    problem(node, fmt::format("'{}: {}' must be a number", key, text.substr(0, 40)));
  return value;
}

Frequency frequency(const YAML::Node& node, std::string_view key) {
  auto parsed = Frequency::parse(text_of(node, key));
  if (!parsed) problem(node, fmt::format("'{}:' {}", key, parsed.error().message));
  return *parsed;
}

struct TypeName {
  std::string_view name;
  ScalarType type;
};
constexpr std::array kTypes{
    TypeName{"uint8_t", ScalarType::u8},   TypeName{"int8_t", ScalarType::i8},    TypeName{"uint16_t", ScalarType::u16},
    TypeName{"int16_t", ScalarType::i16},  TypeName{"uint32_t", ScalarType::u32}, TypeName{"int32_t", ScalarType::i32},
    TypeName{"uint64_t", ScalarType::u64}, TypeName{"int64_t", ScalarType::i64},  TypeName{"float", ScalarType::f32},
    TypeName{"double", ScalarType::f64},
};

void parse_type(const YAML::Node& node, Channel& channel) {
  const std::string text = text_of(node, "type");
  const std::string base = text.substr(0, text.find(':'));
  const auto* found = std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeName& t) { return t.name == base; });
  if (found == kTypes.end())
    problem(node, fmt::format("'type: {}' is unknown; known are int8_t to int64_t, uint8_t to uint64_t, float, double, "
                              "and bit-fields such as uint32_t:1",
                              text.substr(0, 40)));
  channel.type = found->type;
  if (base.size() == text.size()) return;
  const std::string width = text.substr(base.size() + 1);
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(width.data(), width.data() + width.size(), bits);
  if (is_float(channel.type) || error != std::errc{} || end != width.data() + width.size() || bits == 0 ||
      bits > 8 * size_of(channel.type))
    problem(node, fmt::format("'type: {}' is not a bit-field of 1 to {} bits", text.substr(0, 40),
                              8 * size_of(channel.type)));
  channel.bits = bits;
}

// How many rows a plane of `height` pixel rows has, by pixel format and plane number.
std::uint32_t plane_rows(const std::string& format, std::uint32_t height, std::size_t plane) {
  const bool halved = plane > 0 && (format == "NV12" || format == "NV21" || format == "I420");
  return halved ? (height + 1) / 2 : height;
}

class Builder {
 public:
  explicit Builder(Metadata& metadata) : metadata_(metadata) {}

  void entry(const YAML::Node& node) {
    if (!node.IsMap()) problem(node, "each entry under 'content:' must have a 'value:', 'audio:' or 'image:' key");
    const bool has_value = node["value"].IsDefined();
    if (node["image"].IsDefined()) {
      image(node["image"], has_value ? text_of(node["value"], "value") : "image");
    } else if (node["audio"].IsDefined()) {
      audio(node["audio"], has_value ? text_of(node["value"], "value") : "audio");
    } else if (has_value) {
      value(node);
    } else {
      problem(node, "each entry under 'content:' must have a 'value:', 'audio:' or 'image:' key");
    }
    if (metadata_.channels.size() > limits::max_channels)
      problem(node, fmt::format("more than {} channels", limits::max_channels));
    if (metadata_.sample_bytes > limits::max_sample_bytes)
      problem(node, fmt::format("a sample of more than {} bytes", limits::max_sample_bytes));
  }

 private:
  void value(const YAML::Node& node) {
    Channel channel;
    channel.name = text_of(node["value"], "value");
    if (!node["type"].IsDefined()) problem(node, fmt::format("value '{}' has no 'type:'", channel.name));
    parse_type(node["type"], channel);
    if (node["dim-x"].IsDefined()) channel.dim_x = positive_integer(node["dim-x"], "dim-x");
    if (node["dim-y"].IsDefined()) channel.dim_y = positive_integer(node["dim-y"], "dim-y");
    if (node["scale"].IsDefined()) channel.scale = number(node["scale"], "scale");
    if (node["offset"].IsDefined()) channel.offset = number(node["offset"], "offset");
    if (node["unit"].IsDefined()) channel.unit = text_of(node["unit"], "unit");
    if (channel.count() > limits::max_sample_bytes) problem(node, "the array is too large");
    if (channel.bits != 0 && channel.count() != 1) problem(node, "a bit-field cannot be an array");
    note_unknown_keys(node, {"value", "type", "dim-x", "dim-y", "scale", "offset", "unit"});
    if (channel.bits != 0) {
      place_bit_field(channel, node);
    } else {
      place(channel);
    }
  }

  void audio(const YAML::Node& node, const std::string& name) {
    if (!node.IsMap()) problem(node, "'audio:' must hold 'bit-depth:' and 'channels:'");
    if (!node["bit-depth"].IsDefined()) problem(node, "'audio:' has no 'bit-depth:'");
    if (!node["channels"].IsDefined()) problem(node, "'audio:' has no 'channels:'");
    if (node["format"].IsDefined() && text_of(node["format"], "format") != "pcm")
      problem(node["format"], fmt::format("'format: {}' is unknown; known is pcm", text_of(node["format"], "format")));
    const std::uint32_t depth = positive_integer(node["bit-depth"], "bit-depth");
    const std::uint32_t channels = positive_integer(node["channels"], "channels");
    if (depth > 32) problem(node["bit-depth"], "'bit-depth:' must be at most 32");
    if (channels > limits::max_channels) problem(node["channels"], "too many channels");
    note_unknown_keys(node, {"bit-depth", "channels", "format"});
    metadata_.is_audio = true;
    for (std::uint32_t i = 0; i < channels; ++i) {
      Channel channel;
      channel.name = channels == 1 ? name : fmt::format("{}_{}", name, i + 1);
      // As in WAV files: 8 bits and fewer are unsigned, more are signed and fill whole bytes.
      channel.type = depth <= 8    ? ScalarType::u8
                     : depth <= 16 ? ScalarType::i16
                     : depth <= 24 ? ScalarType::i24
                                   : ScalarType::i32;
      place(channel);
    }
  }

  void image(const YAML::Node& node, const std::string& name) {
    if (!node.IsMap()) problem(node, "'image:' must hold 'pixel_format:', 'width:' and 'height:'");
    if (metadata_.image) problem(node, "more than one 'image:'");
    for (const char* key : {"pixel_format", "width", "height"})
      if (!node[key].IsDefined()) problem(node, fmt::format("'image:' has no '{}:'", key));
    ImageFormat image;
    image.pixel_format = text_of(node["pixel_format"], "pixel_format");
    image.width = positive_integer(node["width"], "width");
    image.height = positive_integer(node["height"], "height");
    if (node["stride_bytes"].IsDefined() == node["planes"].IsDefined())
      problem(node, "'image:' needs either 'stride_bytes:' or 'planes:'");
    if (node["planes"].IsDefined()) {
      if (!node["planes"].IsSequence() || node["planes"].size() < 2 || node["planes"].size() > 3)
        problem(node["planes"], "'planes:' must list 2 or 3 planes");
      for (const auto& plane : node["planes"]) {
        if (!plane.IsMap() || !plane["stride_bytes"].IsDefined()) problem(plane, "a plane has no 'stride_bytes:'");
        image.stride_bytes.push_back(positive_integer(plane["stride_bytes"], "stride_bytes"));
      }
    } else {
      image.stride_bytes.push_back(positive_integer(node["stride_bytes"], "stride_bytes"));
    }
    note_unknown_keys(node, {"pixel_format", "width", "height", "stride_bytes", "planes"});
    std::uint64_t bytes = 0;
    for (std::size_t p = 0; p < image.stride_bytes.size(); ++p)
      bytes += std::uint64_t{image.stride_bytes[p]} * plane_rows(image.pixel_format, image.height, p);
    if (bytes > limits::max_sample_bytes)
      problem(node,
              fmt::format("a frame of {} bytes, more than the {} that are supported", bytes, limits::max_sample_bytes));
    image.frame_bytes = static_cast<std::size_t>(bytes);
    Channel channel;
    channel.name = name;
    channel.type = ScalarType::u8;
    channel.dim_x = static_cast<std::uint32_t>(bytes);
    place(channel);
    metadata_.image = std::move(image);
  }

  void place(Channel& channel) {
    open_unit_.reset();
    channel.byte_offset = metadata_.sample_bytes;
    metadata_.sample_bytes += channel.count() * size_of(channel.type);
    metadata_.channels.push_back(channel);
  }

  // As C compilers for Arm (AAPCS, section 8.1.8) and x86-64 (SysV) lay bit-fields out: each is where the one before it
  // ends, lowest bits first, but does not cross a boundary of its own type's size, counted from the sample's begin. So
  // those of types of one size share storage units. Of different sizes they may share bytes that no unit of either has
  // alone, or be apart: what is not simply behind the units before it is refused.
  void place_bit_field(Channel& channel, const YAML::Node& node) {
    const auto unit_bits = static_cast<unsigned>(8 * size_of(channel.type));
    const bool has_open = open_unit_.has_value();
    if (has_open && open_unit_->bits == unit_bits && open_unit_->used + channel.bits <= unit_bits) {
      channel.byte_offset = open_unit_->offset;
      channel.bit_offset = open_unit_->used;
      open_unit_->used += channel.bits;
    } else {
      // A unit of its own begins where C begins one: at a multiple of its size, and nowhere within another.
      if (has_open && open_unit_->bits != unit_bits &&
          (place_in_c(channel.bits, unit_bits) != bits_behind_units() || bits_behind_units() % unit_bits != 0))
        problem(node,
                fmt::format("bit-field '{}' is of another size than the one before it, and C compilers do not put "
                            "it behind that: give both a type of one size",
                            channel.name));
      channel.byte_offset = metadata_.sample_bytes;
      open_unit_ = Unit{metadata_.sample_bytes, unit_bits, channel.bits};
      metadata_.sample_bytes += size_of(channel.type);
    }
    metadata_.channels.push_back(channel);
  }

  // The bit of the sample at which C begins such a field.
  [[nodiscard]] std::size_t place_in_c(std::size_t bits, std::size_t unit_bits) const {
    const std::size_t at = 8 * open_unit_->offset + open_unit_->used;
    return at % unit_bits + bits <= unit_bits ? at : (at / unit_bits + 1) * unit_bits;
  }
  [[nodiscard]] std::size_t bits_behind_units() const { return 8 * metadata_.sample_bytes; }

 public:
  void note_unknown_keys(const YAML::Node& node, std::initializer_list<std::string_view> known) {
    for (const auto& item : node) {
      const std::string key = item.first.IsScalar() ? item.first.Scalar() : "(not a name)";
      if (std::find(known.begin(), known.end(), key) == known.end() && metadata_.notes.size() < 100)
        metadata_.notes.push_back(fmt::format("line {}: unknown key '{}'", item.first.Mark().line + 1, key));
    }
  }

 private:
  Metadata& metadata_;
  // Of bit-fields in a row the storage unit of the last one.
  struct Unit {
    std::size_t offset;
    unsigned bits;
    unsigned used;
  };
  std::optional<Unit> open_unit_;
};

// `unit: %` is what people write, and YAML reserves the character: quotes such values, and notes the lines.
std::string quote_reserved(std::string_view yaml, std::vector<std::string>& notes) {
  std::string out;
  int line_number = 0;
  while (!yaml.empty()) {
    const std::string_view line = yaml.substr(0, yaml.find('\n'));
    yaml.remove_prefix(std::min(yaml.size(), line.size() + 1));
    ++line_number;
    const std::size_t colon = line.find(": ");
    const std::size_t value = colon == std::string_view::npos ? colon : line.find_first_not_of(' ', colon + 1);
    const bool reserved =
        value != std::string_view::npos && std::string_view("%@`").find(line[value]) != std::string_view::npos;
    if (reserved && line.find('\'') == std::string_view::npos) {
      std::string_view text = line.substr(value);
      while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
      out += fmt::format("{}'{}'", line.substr(0, value), text);
      notes.push_back(fmt::format("line {}: '{}' should be in quotes", line_number, text.substr(0, 20)));
    } else {
      out += line;
    }
    out += '\n';
  }
  return out;
}

YAML::Node load(std::string_view yaml, Metadata& metadata) {
  try {
    return load_yaml(std::string(yaml));
  } catch (const YAML::Exception&) {
    const std::string repaired = quote_reserved(yaml, metadata.notes);
    if (metadata.notes.empty()) throw;
    return load_yaml(repaired);
  }
}

// Of channels of one name the second gets a name of its own, so that it can be asked for and exported.
void tell_names_apart(Metadata& metadata) {
  std::set<std::string> names;
  for (const auto& channel : metadata.channels) names.insert(channel.name);
  std::map<std::string, std::size_t> seen;
  for (auto& channel : metadata.channels) {
    std::size_t& number = seen[channel.name];
    if (++number == 1) continue;
    const std::string name = channel.name;
    while (!names.insert(fmt::format("{}_{}", name, number)).second) ++number;
    channel.name = fmt::format("{}_{}", name, number);
    if (metadata.notes.size() < 100)
      metadata.notes.push_back(
          fmt::format("channel '{}' is listed twice: this one is called '{}'", name, channel.name));
  }
}

void parse_document(const YAML::Node& root, Metadata& metadata) {
  if (!root.IsMap() || !root["sds"].IsDefined()) problem(root, "no 'sds:' at the top");
  const YAML::Node sds = root["sds"];
  if (!sds.IsMap()) problem(sds, "'sds:' must hold 'name:' and 'content:'");
  Builder builder(metadata);
  builder.note_unknown_keys(root, {"sds"});
  builder.note_unknown_keys(
      sds, {"name", "description", "block-frequency", "sample-frequency", "tick-frequency", "frequency", "content"});
  if (sds["name"].IsDefined()) {
    metadata.name = text_of(sds["name"], "name");
  } else {
    metadata.notes.push_back(fmt::format("line {}: 'name:' is missing", sds.Mark().line + 1));
  }
  if (sds["description"].IsDefined()) metadata.description = text_of(sds["description"], "description");
  if (sds["tick-frequency"].IsDefined()) metadata.tick_frequency = frequency(sds["tick-frequency"], "tick-frequency");
  if (sds["block-frequency"].IsDefined())
    metadata.block_frequency = frequency(sds["block-frequency"], "block-frequency");
  if (sds["sample-frequency"].IsDefined()) {
    metadata.sample_frequency = frequency(sds["sample-frequency"], "sample-frequency");
  } else if (sds["frequency"].IsDefined()) {
    metadata.sample_frequency = frequency(sds["frequency"], "frequency");
    metadata.legacy_frequency = true;
  }
  const YAML::Node content = sds["content"];
  if (!content.IsDefined()) problem(sds, "'content:' is missing");
  if (!content.IsSequence() || content.size() == 0) problem(content, "'content:' must be a list of at least one entry");
  for (const auto& entry : content) builder.entry(entry);
  tell_names_apart(metadata);
}

}  // namespace

Expected<Metadata> Metadata::parse(std::string_view yaml, const std::filesystem::path& path) {
  if (yaml.size() > limits::max_metadata_bytes)
    return fail(ErrorCode::limit, fmt::format("metadata of more than {} bytes", limits::max_metadata_bytes), path);
  if (const auto bad = find_invalid_utf8(yaml)) return fail(ErrorCode::bad_input, "not valid UTF-8", path, *bad);
  Metadata metadata;
  try {
    parse_document(load(yaml, metadata), metadata);
  } catch (const MetadataProblem& p) {
    return fail(ErrorCode::bad_input, (p.line >= 0 ? fmt::format("line {}: ", p.line + 1) : std::string()) + p.message,
                path);
  } catch (const YAML::Exception& e) {
    return fail(ErrorCode::bad_input, fmt::format("line {}: {}", e.mark.line + 1, e.msg), path);
  }
  return metadata;
}

}  // namespace sds
