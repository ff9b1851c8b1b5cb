#include "sds/format/metadata.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <tuple>

#include "sds/format/layout.hpp"
#include "support/recordings.hpp"

namespace sds {
namespace {

Expected<Metadata> parse(const std::string& yaml) { return Metadata::parse(yaml, "Test.sds.yml"); }

std::string error_of(const std::string& yaml) {
  auto metadata = parse(yaml);
  return metadata ? "no error" : metadata.error().to_string();
}

TEST(Metadata, ReadsTheExampleOfTheDocumentation) {
  const auto m = parse(R"(sds:
  name: sensorX
  description: Gyroscope stream with 1KHz sample rate, plus additional user data
  sample-frequency: 1000
  content:
    - value: x
      type:  uint16_t
      scale: 0.2
      unit: dps
    - value: temp
      type: float
      unit: degree Celsius
    - value: flag
      type: uint32_t:1 # a single bit
)");
  ASSERT_TRUE(m) << m.error().to_string();
  EXPECT_EQ(m->sample_bytes, 2u + 4 + 4);
  ASSERT_EQ(m->channels.size(), 3u);
  EXPECT_EQ(m->channels[0].scale, 0.2);
  EXPECT_EQ(m->channels[1].type, ScalarType::f32);
  EXPECT_EQ(m->channels[2].bits, 1u);
  EXPECT_EQ(m->tick_frequency, (Frequency{1000, 1}));
  EXPECT_TRUE(m->notes.empty());
}

TEST(Metadata, BitFieldsShareTheirStorageUnitAsInC) {
  const auto m = parse(R"(sds:
  name: flags
  content:
    - {value: a, type: "uint8_t:3"}
    - {value: b, type: "uint8_t:4"}
    - {value: c, type: "uint8_t:2"}
    - {value: d, type: "int16_t:12"}
)");
  ASSERT_TRUE(m) << m.error().to_string();
  EXPECT_EQ(m->sample_bytes, 1u + 1 + 2);  // a and b fill 7 bits; c needs the next byte; d has another type
  const std::array<std::uint8_t, 4> sample{0b0101'101, 0b10, 0xFF, 0x0F};
  const auto* p = reinterpret_cast<const std::byte*>(sample.data());
  EXPECT_EQ(raw_value(m->channels[0], p, 0), 5);
  EXPECT_EQ(raw_value(m->channels[1], p, 0), 5);
  EXPECT_EQ(raw_value(m->channels[2], p, 0), 2);
  EXPECT_EQ(raw_value(m->channels[3], p, 0), -1);  // a signed field is sign-extended
  EXPECT_EQ(Layout::from(*m).columns.size(), 3u);
}

// struct { uint16_t lo : 5; int16_t hi : 11; } is 2 bytes on Arm (AAPCS) and x86-64: with .lo = -1 they are 1f 00, with
// .hi = -1 e0 ff (arm-none-eabi-gcc 12, gcc 12).
TEST(Metadata, BitFieldsOfOneSizeShareAUnitWhateverTheirSign) {
  const auto m = parse("sds:\n  content: [{value: lo, type: 'uint16_t:5'}, {value: hi, type: 'int16_t:11'}]\n");
  ASSERT_TRUE(m) << m.error().to_string();
  EXPECT_EQ(m->sample_bytes, 2u);
  EXPECT_EQ(Layout::from(*m).columns.size(), 1u);
  for (const auto& [bytes, lo, hi] : {std::tuple{0x001F, 31, 0}, {0xFFE0, 0, -1}, {0x7FE3, 3, 1023}}) {
    const std::array<std::uint8_t, 2> sample{static_cast<std::uint8_t>(bytes), static_cast<std::uint8_t>(bytes >> 8)};
    const auto* p = reinterpret_cast<const std::byte*>(sample.data());
    EXPECT_EQ(raw_value(m->channels[0], p, 0), lo);
    EXPECT_EQ(raw_value(m->channels[1], p, 0), hi);
  }
}

// What C compilers do with neighbours of types of different sizes: { uint8_t a : 3; uint16_t b : 5; } is 2 bytes with b
// in bits 3 to 7, { uint32_t a : 3; uint8_t b : 6; } has b in byte 1, { uint8_t a : 8; uint32_t b : 30; } is 8 bytes.
TEST(Metadata, BitFieldsOfDifferentSizesThatCLaysOutOtherwiseAreRefused) {
  const auto pair = [](const char* a, const char* b) {
    return fmt::format("sds:\n  content:\n    - {{value: a, type: '{}'}}\n    - {{value: b, type: '{}'}}\n", a, b);
  };
  EXPECT_EQ(error_of(pair("uint8_t:3", "uint16_t:5")),
            "Test.sds.yml: line 4: bit-field 'b' is of another size than the one before it, and C compilers do not put "
            "it behind that: give both a type of one size");
  // Behind a byte that is full { uint8_t a : 8; uint16_t b : 8; } has b in the unit that a is in: 2 bytes, not 3.
  for (const auto& [a, b] : {std::pair{"uint32_t:3", "uint8_t:6"},
                             {"uint8_t:8", "uint32_t:30"},
                             {"uint64_t:9", "int8_t:1"},
                             {"uint8_t:8", "uint16_t:8"},
                             {"int32_t:32", "int64_t:32"}})
    EXPECT_NE(error_of(pair(a, b)).find("of another size"), std::string::npos) << a << " " << b;
  // Where they fill their units, or a plain value parts them, there is nothing to share: 1 + 1, 2 + 1, 2 + 2 bytes.
  EXPECT_TRUE(parse(pair("uint16_t:16", "uint8_t:3")));
  EXPECT_TRUE(parse(pair("uint8_t:8", "uint8_t:3")));
  EXPECT_TRUE(parse(pair("uint64_t:64", "uint16_t:9")));
  EXPECT_EQ(parse("sds:\n  content: [{value: a, type: 'uint8_t:3'}, {value: x, type: uint8_t}, {value: b, type: "
                  "'uint16_t:5'}]\n")
                ->sample_bytes,
            4u);
}

// Units are counted from the sample's begin (gcc 12): { uint8_t id, a : 8, b : 8; uint16_t v : 8; } is 4 bytes with v
// in the unit of b, and so it is behind two uint16_t or uint32_t; { uint16_t id, a : 16; uint32_t b : 20; } is 8 with b
// at byte 4.
TEST(Metadata, BitFieldsBehindOtherValuesAreWhereCHasThem) {
  const auto row = [](const char* value, const char* fields, const char* last) {
    return fmt::format(
        "sds:\n  name: S\n  content:\n    - {{value: id, type: {}}}\n    - {{value: a, type: '{}'}}\n"
        "    - {{value: b, type: '{}'}}\n    - {{value: v, type: '{}'}}\n",
        value, fields, fields, last);
  };
  for (const auto& text : {row("uint8_t", "uint8_t:8", "uint16_t:8"), row("uint16_t", "uint16_t:16", "uint32_t:16"),
                           row("uint32_t", "uint32_t:32", "uint64_t:32"), row("uint8_t", "uint8_t:8", "uint16_t:5")})
    EXPECT_NE(error_of(text).find("line 7: bit-field 'v' is of another size"), std::string::npos) << text;
  const auto behind = parse(
      "sds:\n  name: S\n  content:\n    - {value: id, type: uint16_t}\n    - {value: a, type: 'uint16_t:16'}\n"
      "    - {value: b, type: 'uint32_t:20'}\n");
  ASSERT_TRUE(behind) << behind.error().to_string();
  EXPECT_EQ(behind->sample_bytes, 8u);
  EXPECT_EQ(behind->channels[2].byte_offset, 4u);
  EXPECT_TRUE(behind->notes.empty());
}

TEST(Metadata, ChannelsOfOneNameAreToldApart) {
  const auto m = parse(
      "sds:\n  name: S\n  content: [{value: g, type: int8_t}, {value: g, type: int8_t}, {value: g_2, type: int8_t},"
      " {value: g, type: int8_t}]\n");
  ASSERT_TRUE(m) << m.error().to_string();
  std::vector<std::string> names;
  for (const auto& channel : m->channels) names.push_back(channel.name);
  EXPECT_EQ(names, (std::vector<std::string>{"g", "g_3", "g_2", "g_4"}));
  EXPECT_EQ(m->notes, (std::vector<std::string>{"channel 'g' is listed twice: this one is called 'g_3'",
                                                "channel 'g' is listed twice: this one is called 'g_4'"}));
}

TEST(Metadata, ReadsArraysAudioAndTheOlderForms) {
  const auto tof = parse("sds:\n  name: ToF\n  content:\n    - {value: d, type: uint16_t, dim-x: 8, dim-y: 4}\n");
  ASSERT_TRUE(tof);
  EXPECT_EQ(tof->sample_bytes, 64u);
  const auto audio = parse(
      "sds:\n  name: S\n  sample-frequency: 44100\n  content:\n  - audio:\n      bit-depth: 24\n"
      "      channels: 2\n      format: pcm\n");
  ASSERT_TRUE(audio);
  EXPECT_EQ(audio->sample_bytes, 6u);
  EXPECT_EQ(audio->channels[1].name, "audio_2");
  const auto old = parse(
      "sds:\n  name: F\n  frequency: 12.5\n  content:\n    - value: Frame\n      type: uint8_t\n"
      "      image:\n        pixel_format: NV12\n        width: 4\n        height: 3\n"
      "        planes:\n          - stride_bytes: 4\n          - stride_bytes: 4\n");
  ASSERT_TRUE(old) << old.error().to_string();
  EXPECT_TRUE(old->legacy_frequency);
  EXPECT_EQ(old->image->frame_bytes, 4u * 3 + 4 * 2);  // the second plane has half the rows, rounded up
}

TEST(Metadata, WrongYamlGivesOneErrorWithItsLine) {
  EXPECT_EQ(error_of("sds:\n  name: x\n  content: []\n"),
            "Test.sds.yml: line 3: 'content:' must be a list of at least one entry");
  EXPECT_NE(error_of("sds:\n  name: x\n  content:\n    - value: a\n      type: int12_t\n")
                .find("line 5: 'type: int12_t' is unknown"),
            std::string::npos);
  EXPECT_NE(error_of("sds: [1, 2").find("Test.sds.yml: line"), std::string::npos);
  EXPECT_EQ(error_of("sds:\n  name: x\n  content:\n    - {value: a, type: float}\n  name: y\n"),
            "Test.sds.yml: line 5: the key 'name' is there twice");
  const auto two = Metadata::parse("sds:\n  name: A\n---\nsds:\n  name: B\n", "Test.sds.yml");
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error().to_string(), "Test.sds.yml: line 4: a second document: one is read");
  EXPECT_FALSE(Metadata::parse(",s[", "Test.sds.yml")) << "behind which the parser finds documents for ever";
  EXPECT_NE(error_of("").find("no 'sds:'"), std::string::npos);
  EXPECT_NE(error_of("just text").find("no 'sds:'"), std::string::npos);
  EXPECT_NE(
      error_of("sds:\n  name: x\n  tick-frequency: fast\n  content:\n    - {value: a, type: float}\n").find("line 3"),
      std::string::npos);
  EXPECT_NE(error_of("sds:\n  content:\n    - {value: a, type: \"float:3\"}\n").find("bit-field"), std::string::npos);
  EXPECT_NE(error_of("sds:\n  content:\n    - {value: a, type: \"uint8_t:9\"}\n").find("1 to 8 bits"),
            std::string::npos);
  EXPECT_NE(error_of("sds:\n  content:\n    - {value: a, type: float, dim-x: 0}\n").find("at least 1"),
            std::string::npos);
}

TEST(Metadata, NonUtf8YamlIsRefusedWithTheOffset) {
  const auto m = parse("sds:\n  name: caf\xE9\n");
  ASSERT_FALSE(m);
  EXPECT_EQ(m.error().offset, 16u);
  EXPECT_EQ(m.error().message, "not valid UTF-8");
}

TEST(Metadata, HostileSizesAreRefusedWithoutAllocating) {
  EXPECT_FALSE(parse("sds:\n  content:\n    - {value: a, type: double, dim-x: 4000000000, dim-y: 4000000000}\n"));
  EXPECT_FALSE(
      parse("sds:\n  content:\n    - image: {pixel_format: RGB888, width: 1, height: 4000000000, stride_bytes: "
            "4000000000}\n"));
  EXPECT_FALSE(parse("sds:\n  content:\n    - audio: {bit-depth: 16, channels: 4000000000}\n"));
  EXPECT_FALSE(parse(std::string(2'000'000, ' ')));
  EXPECT_FALSE(parse(std::string(100'000, '[')));
  EXPECT_FALSE(parse("a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\nsds: *c\n"));
}

TEST(Metadata, UnknownKeysAreNotedAndKept) {
  const auto m = parse("sds:\n  name: x\n  color: red\n  content:\n    - {value: a, type: float, range: 5}\n");
  ASSERT_TRUE(m);
  ASSERT_EQ(m->notes.size(), 2u);
  EXPECT_EQ(m->notes[0], "line 3: unknown key 'color'");
}

TEST(Metadata, AnUnquotedPercentSignIsReadAndNoted) {
  const auto m = parse("sds:\n  name: x\n  content:\n    - value: humidity\n      type: float\n      unit: %\n");
  ASSERT_TRUE(m) << m.error().to_string();
  EXPECT_EQ(m->channels[0].unit, "%");
  EXPECT_EQ(m->notes.at(0), "line 6: '%' should be in quotes");
}

TEST(RawValue, DecodesEveryType) {
  const auto m = parse(R"(sds:
  name: all
  content:
    - {value: a, type: int8_t}
    - {value: b, type: uint8_t}
    - {value: c, type: int16_t}
    - {value: d, type: uint32_t}
    - {value: e, type: int64_t}
    - {value: f, type: float}
    - {value: g, type: double}
)");
  ASSERT_TRUE(m);
  Bytes sample;
  append_le(sample, std::int8_t{-2});
  append_le(sample, std::uint8_t{250});
  append_le(sample, std::int16_t{-3000});
  append_le(sample, std::uint32_t{4000000000});
  append_le(sample, std::int64_t{-5000000000});
  append_le(sample, 0.5f);
  append_le(sample, -1e300);
  const std::vector<double> expected{-2, 250, -3000, 4e9, -5e9, 0.5, -1e300};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(raw_value(m->channels[i], sample.data(), 0), expected[i]);
}

TEST(Layout, SurvivesEncodingAndRefusesGapsAndOverlaps) {
  const Layout layout{7, {{ScalarType::i16, 0, 1}, {ScalarType::u8, 2, 1}, {ScalarType::f32, 3, 1}}};
  const auto again = Layout::decode(as_bytes(layout.encode()));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->columns, layout.columns);
  EXPECT_EQ(again->sample_bytes, 7u);
  const Layout gap{8, {{ScalarType::i16, 0, 1}, {ScalarType::u8, 3, 1}}};
  EXPECT_FALSE(Layout::decode(as_bytes(gap.encode())));
  const Layout huge{8, {{ScalarType::f64, 0, 0x7FFFFFFF}}};
  EXPECT_FALSE(Layout::decode(as_bytes(huge.encode())));
  EXPECT_FALSE(Layout::decode(as_bytes("half a column")));
}

TEST(MetadataYaml, KeepsFrequenciesThatHaveNoEnd) {
  Metadata metadata;
  metadata.name = "Hourly";
  metadata.tick_frequency = {1000, 3};
  metadata.sample_frequency = Frequency{1, 3600};
  metadata.block_frequency = Frequency{100, 7};
  Channel channel;
  channel.name = "v";
  metadata.channels.push_back(channel);
  const auto again = Metadata::parse(to_yaml(metadata), "x.yml");
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->tick_frequency, (Frequency{1000, 3}));
  EXPECT_EQ(again->sample_frequency, (Frequency{1, 3600}));
  EXPECT_EQ(again->block_frequency, (Frequency{100, 7}));
}

}  // namespace
}  // namespace sds
