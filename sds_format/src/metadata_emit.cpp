// Metadata as YAML text, for streams that have no file of their own.
#include <fmt/format.h>

#include "sds/format/metadata.hpp"

namespace sds {

namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string entry(const Channel& channel) {
  std::string out = fmt::format("    - value: {}\n      type: {}", quoted(channel.name), name_of(channel.type));
  if (channel.bits != 0) out += fmt::format(":{}", channel.bits);
  out += '\n';
  if (channel.dim_x != 1 || channel.dim_y != 1) out += fmt::format("      dim-x: {}\n", channel.dim_x);
  if (channel.dim_y != 1) out += fmt::format("      dim-y: {}\n", channel.dim_y);
  if (channel.scale != 1) out += fmt::format("      scale: {}\n", channel.scale);
  if (channel.offset != 0) out += fmt::format("      offset: {}\n", channel.offset);
  if (!channel.unit.empty()) out += fmt::format("      unit: {}\n", quoted(channel.unit));
  return out;
}

}  // namespace

std::string to_yaml(const Metadata& metadata) {
  std::string out = fmt::format("sds:\n  name: {}\n", quoted(metadata.name));
  if (!metadata.description.empty()) out += fmt::format("  description: {}\n", quoted(metadata.description));
  if (!(metadata.tick_frequency == Frequency{}))
    out += fmt::format("  tick-frequency: {}\n", metadata.tick_frequency.to_string());
  if (metadata.sample_frequency) out += fmt::format("  sample-frequency: {}\n", metadata.sample_frequency->to_string());
  if (metadata.block_frequency) out += fmt::format("  block-frequency: {}\n", metadata.block_frequency->to_string());
  out += "  content:\n";
  if (metadata.is_audio) {
    return out +
           fmt::format(
               "    - value: {}\n      audio:\n        bit-depth: {}\n        channels: {}\n        format: pcm\n",
               quoted(metadata.channels.size() == 1 ? metadata.channels.front().name : metadata.name),
               8 * size_of(metadata.channels.front().type), metadata.channels.size());
  }
  for (const auto& channel : metadata.channels) out += entry(channel);
  return out;
}

}  // namespace sds
