#include "condition.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace sds {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNoNumber = std::numeric_limits<double>::quiet_NaN();
using Kind = Condition::Kind;

struct ParseProblem {
  std::size_t at;
  std::string message;
};

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// What has one number or condition below it; `left` and `right` of its node are the same.
bool takes_one(Kind kind) {
  return kind == Kind::logical_not || kind == Kind::negate || kind == Kind::abs || kind == Kind::sqrt;
}

double apply(Kind kind, double a, double b) {
  switch (kind) {
    case Kind::negate:
      return -a;
    case Kind::abs:
      return std::abs(a);
    case Kind::sqrt:
      return std::sqrt(a);
    case Kind::min:
      return std::isnan(a) || std::isnan(b) ? kNoNumber : std::min(a, b);
    case Kind::max:
      return std::isnan(a) || std::isnan(b) ? kNoNumber : std::max(a, b);
    case Kind::add:
      return a + b;
    case Kind::subtract:
      return a - b;
    case Kind::multiply:
      return a * b;
    default:
      return a / b;
  }
}

// What is not rounded (is_rounded()).
ExactNumber apply(Kind kind, const ExactNumber& a, const ExactNumber& b) {
  const bool is_number = !std::isnan(a.rounded()) && !std::isnan(b.rounded());
  switch (kind) {
    case Kind::negate:
      return -a;
    case Kind::abs:
      return a < 0 ? -a : a;
    case Kind::min:
      return is_number ? std::min(a, b) : kNoNumber;
    case Kind::max:
      return is_number ? std::max(a, b) : kNoNumber;
    case Kind::add:
      return a + b;
    default:
      return a - b;
  }
}

template <class Number>
bool compare(Kind kind, const Number& a, const Number& b) {
  switch (kind) {
    case Kind::less:
      return a < b;
    case Kind::less_equal:
      return a <= b;
    case Kind::greater:
      return a > b;
    case Kind::greater_equal:
      return a >= b;
    case Kind::equal:
      return a == b;
    default:
      return a != b;
  }
}

constexpr ValueRange kAnything{-kInfinity, kInfinity, true};

// What a double that was rounded may stand for.
ValueRange widened(const ValueRange& range) {
  return {std::nextafter(range.low, -kInfinity), std::nextafter(range.high, kInfinity), range.maybe_nan, range.wide};
}

// The corners of a range under an operation that is monotone in each argument hold its extremes.
ValueRange corners(Kind kind, const ValueRange& a, const ValueRange& b) {
  ValueRange out{kInfinity, -kInfinity, a.maybe_nan || b.maybe_nan};
  for (const double x : {a.low, a.high})
    for (const double y : {b.low, b.high}) {
      const double v = apply(kind, x, y);
      if (std::isnan(v)) return kAnything;
      out.low = std::min(out.low, v);
      out.high = std::max(out.high, v);
    }
  out.wide = a.wide || b.wide;
  return out.wide ? widened(out) : out;
}

ValueRange range_of(Kind kind, const ValueRange& a, const ValueRange& b) {
  switch (kind) {
    case Kind::negate:
      return {-a.high, -a.low, a.maybe_nan, a.wide};
    case Kind::abs:
      if (a.low <= 0 && a.high >= 0) return {0, std::max(-a.low, a.high), a.maybe_nan, a.wide};
      return {std::min(std::abs(a.low), std::abs(a.high)), std::max(std::abs(a.low), std::abs(a.high)), a.maybe_nan,
              a.wide};
    case Kind::sqrt:
      return {std::sqrt(std::max(0.0, a.low)), std::sqrt(std::max(0.0, a.high)), a.maybe_nan || a.low < 0};
    case Kind::divide:
      if (b.low <= 0 && b.high >= 0) return kAnything;
      return corners(kind, a, b);
    case Kind::multiply:
      // Zero times infinity may hide inside.
      if ((std::isinf(a.low) || std::isinf(a.high) || std::isinf(b.low) || std::isinf(b.high))) return kAnything;
      return corners(kind, a, b);
    default:
      return corners(kind, a, b);
  }
}

Verdict compare_ranges(Kind kind, const ValueRange& a, const ValueRange& b) {
  const bool nan = a.maybe_nan || b.maybe_nan;
  bool never = false;
  bool always = false;
  switch (kind) {
    case Kind::less:
      never = a.low >= b.high;
      always = a.high < b.low;
      break;
    case Kind::less_equal:
      never = a.low > b.high;
      always = a.high <= b.low;
      break;
    case Kind::greater:
      never = a.high <= b.low;
      always = a.low > b.high;
      break;
    case Kind::greater_equal:
      never = a.high < b.low;
      always = a.low >= b.high;
      break;
    case Kind::equal:
      never = a.high < b.low || a.low > b.high;
      always = a.low == a.high && b.low == b.high && a.low == b.low;
      break;
    default:
      always = a.high < b.low || a.low > b.high;  // a NaN is unequal, too
      never = !nan && a.low == a.high && b.low == b.high && a.low == b.low;
      return always ? Verdict::always : never ? Verdict::never : Verdict::maybe;
  }
  return never ? Verdict::never : always && !nan ? Verdict::always : Verdict::maybe;
}

}  // namespace

bool is_comparison(Kind kind) { return kind >= Kind::less && kind <= Kind::not_equal; }
bool is_logical(Kind kind) { return kind >= Kind::less; }

// Recursive descent; every rule returns the index of its node.
class ConditionParser {
 public:
  explicit ConditionParser(const std::string& text) : text_(text) {}

  Condition parse() {
    const std::size_t root = disjunction();
    if (at_ < text_.size()) throw ParseProblem{at_, fmt::format("'{}' was not expected here", text_.substr(at_, 20))};
    if (!is_logical(result_.nodes_[root].kind)) throw ParseProblem{0, "a condition compares something: 'ax > 2'"};
    return std::move(result_);
  }

 private:
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) ++at_;
  }
  bool take(std::string_view token) {
    skip();
    if (text_.compare(at_, token.size(), token) != 0) return false;
    if (is_word(token[0]) && at_ + token.size() < text_.size() && is_word(text_[at_ + token.size()])) return false;
    at_ += token.size();
    skip();
    return true;
  }
  std::size_t add(Kind kind, std::size_t at, std::size_t left, std::size_t right) {
    const bool wants_logical = kind >= Kind::logical_and;
    for (const std::size_t child : {left, takes_one(kind) ? left : right})
      if (is_logical(result_.nodes_[child].kind) != wants_logical)
        throw ParseProblem{at, wants_logical ? "'and', 'or' and 'not' join comparisons" : "a comparison is no number"};
    return push({kind, 0, 0, left, right}, at);
  }
  std::size_t push(const Condition::Node& node, std::size_t at) {
    if (result_.nodes_.size() >= 1000) throw ParseProblem{at, "the condition is too long"};
    result_.nodes_.push_back(node);
    return result_.nodes_.size() - 1;
  }

  std::size_t disjunction() {
    std::size_t left = conjunction();
    for (std::size_t at = at_; take("or") || take("||"); at = at_)
      left = add(Kind::logical_or, at, left, conjunction());
    return left;
  }
  std::size_t conjunction() {
    std::size_t left = negation();
    for (std::size_t at = at_; take("and") || take("&&"); at = at_) left = add(Kind::logical_and, at, left, negation());
    return left;
  }
  std::size_t negation() {
    const std::size_t at = at_;
    int count = 0;
    while (take("not") || (peek_not() && take("!"))) ++count;
    std::size_t node = comparison();
    for (; count > 0; --count) node = add(Kind::logical_not, at, node, node);
    return node;
  }
  bool peek_not() {
    skip();
    return at_ + 1 < text_.size() && text_[at_] == '!' && text_[at_ + 1] != '=';
  }
  std::size_t comparison() {
    const std::size_t left = sum();
    const std::size_t at = at_;
    static constexpr std::array<std::pair<std::string_view, Kind>, 7> operators{{{"<=", Kind::less_equal},
                                                                                 {">=", Kind::greater_equal},
                                                                                 {"==", Kind::equal},
                                                                                 {"!=", Kind::not_equal},
                                                                                 {"<", Kind::less},
                                                                                 {">", Kind::greater},
                                                                                 {"=", Kind::equal}}};
    for (const auto& [token, kind] : operators)
      if (take(token)) return add(kind, at, left, sum());
    return left;
  }
  std::size_t sum() {
    std::size_t left = product();
    for (;;) {
      const std::size_t at = at_;
      if (take("+")) {
        left = add(Kind::add, at, left, product());
      } else if (take("-")) {
        left = add(Kind::subtract, at, left, product());
      } else {
        return left;
      }
    }
  }
  std::size_t product() {
    std::size_t left = unary();
    for (;;) {
      const std::size_t at = at_;
      if (take("*")) {
        left = add(Kind::multiply, at, left, unary());
      } else if (take("/")) {
        left = add(Kind::divide, at, left, unary());
      } else {
        return left;
      }
    }
  }
  std::size_t unary() {
    const std::size_t at = at_;
    std::size_t count = 0;
    while (take("-")) ++count;
    std::size_t node = primary();
    if (count % 2 == 1) node = add(Kind::negate, at, node, node);
    return node;
  }
  std::size_t primary() {
    // Every recursion passes here: this bounds the stack it takes, whatever it is nested in.
    if (++depth_ > kMaxDepth) throw ParseProblem{at_, "nested too deep"};
    const std::size_t node = operand();
    --depth_;
    return node;
  }
  std::size_t operand() {
    skip();
    if (at_ == text_.size()) throw ParseProblem{at_, "the condition ends too early"};
    if (take("(")) {
      const std::size_t inner = disjunction();
      if (!take(")")) throw ParseProblem{at_, "')' is missing"};
      return inner;
    }
    const std::size_t at = at_;
    const char c = text_[at_];
    if ((c >= '0' && c <= '9') || c == '.') {
      Condition::Node node;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), node.number);
      if (error != std::errc{}) throw ParseProblem{at, "this is no number"};
      node.exact = exact_number({text_.data() + at_, end}).value_or(node.number);
      at_ = static_cast<std::size_t>(end - text_.data());
      if (at_ < text_.size() && is_word(text_[at_])) throw ParseProblem{at, "this is no number"};
      skip();
      return push(node, at);
    }
    static constexpr std::array<std::pair<std::string_view, Kind>, 4> functions{
        {{"abs", Kind::abs}, {"sqrt", Kind::sqrt}, {"min", Kind::min}, {"max", Kind::max}}};
    for (const auto& [name, kind] : functions) {
      const std::size_t before = at_;
      if (!take(name)) continue;
      if (!take("(")) {
        at_ = before;  // a channel of that name
        break;
      }
      const std::size_t first = sum();
      std::size_t second = first;
      if (kind == Kind::min || kind == Kind::max) {
        if (!take(",")) throw ParseProblem{at_, fmt::format("{} takes two numbers", name)};
        second = sum();
      }
      if (!take(")")) throw ParseProblem{at_, "')' is missing"};
      return add(kind, at, first, second);
    }
    return channel();
  }
  std::size_t channel() {
    const std::size_t at = at_;
    std::string name;
    const auto bracket = [&] {
      const std::size_t close = text_.find(']', at_);
      if (close == std::string::npos) throw ParseProblem{at_, "']' is missing"};
      name += text_.substr(at_, close + 1 - at_);
      at_ = close + 1;
    };
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '`') {
        const std::size_t close = text_.find('`', at_ + 1);
        if (close == std::string::npos) throw ParseProblem{at_, "the closing backtick is missing"};
        name += text_.substr(at_ + 1, close - at_ - 1);
        at_ = close + 1;
      } else if (c == '[' && !name.empty()) {
        bracket();
      } else if (is_word(c) || (c == '.' && !name.empty())) {
        name += c;
        ++at_;
      } else {
        break;
      }
    }
    if (name.empty()) throw ParseProblem{at, fmt::format("'{}' was not expected here", text_.substr(at, 20))};
    skip();
    auto& channels = result_.channels_;
    const auto found = std::find(channels.begin(), channels.end(), name);
    Condition::Node node;
    node.kind = Kind::channel;
    node.channel = static_cast<std::size_t>(found - channels.begin());
    if (found == channels.end()) channels.push_back(name);
    return push(node, at);
  }

  const std::string& text_;
  std::size_t at_ = 0;
  static constexpr int kMaxDepth = 200;
  int depth_ = 0;
  Condition result_;
};

Expected<Condition> Condition::parse(const std::string& text) {
  try {
    return ConditionParser(text).parse();
  } catch (const ParseProblem& problem) {
    return fail(ErrorCode::usage, fmt::format("in the condition '{}', column {}: {}", text.substr(0, 200),
                                              problem.at + 1, problem.message));
  }
}

// Whether a channel with more digits is below a node.
bool Condition::has_wide(std::size_t index, const std::vector<const ExactNumber*>& wide) const {
  const Node& n = nodes_[index];
  if (n.kind == Kind::channel) return wide[n.channel] != nullptr;
  return n.kind != Kind::number && (has_wide(n.left, wide) || (!takes_one(n.kind) && has_wide(n.right, wide)));
}

// Whether there is something below a node that is of doubles whatever its numbers are.
bool Condition::is_rounded(std::size_t index) const {
  const Node& n = nodes_[index];
  if (n.kind == Kind::number || n.kind == Kind::channel) return false;
  if (n.kind == Kind::sqrt || n.kind == Kind::multiply || n.kind == Kind::divide) return true;
  return is_rounded(n.left) || (!takes_one(n.kind) && is_rounded(n.right));
}

void Condition::evaluate(std::size_t root, const std::vector<const double*>& columns,
                         const std::vector<const ExactNumber*>& wide, std::size_t count,
                         std::vector<std::uint8_t>& result) const {
  const Node& node = nodes_[root];
  if (node.kind == Kind::logical_not) {
    evaluate(node.left, columns, wide, count, result);
    for (auto& value : result) value ^= 1;
    return;
  }
  if (node.kind == Kind::logical_and || node.kind == Kind::logical_or) {
    evaluate(node.left, columns, wide, count, result);
    std::vector<std::uint8_t> other;
    evaluate(node.right, columns, wide, count, other);
    const bool conjunction = node.kind == Kind::logical_and;
    for (std::size_t i = 0; i < count; ++i) result[i] = conjunction ? result[i] & other[i] : result[i] | other[i];
    return;
  }
  // Numbers of one sample at a time: the nodes below a comparison, in their order.
  result.resize(count);
  struct Numbers {
    const Condition& condition;
    const std::vector<const double*>& columns;
    double at(std::size_t index, std::size_t k) const {
      const Node& n = condition.nodes_[index];
      switch (n.kind) {
        case Kind::number:
          return n.number;
        case Kind::channel:
          return columns[n.channel][k];
        default: {
          const double left = at(n.left, k);
          return apply(n.kind, left, takes_one(n.kind) ? left : at(n.right, k));
        }
      }
    }
  };
  struct WideNumbers {
    const Condition& condition;
    const std::vector<const double*>& columns;
    const std::vector<const ExactNumber*>& wide;
    ExactNumber at(std::size_t index, std::size_t k) const {
      const Node& n = condition.nodes_[index];
      switch (n.kind) {
        case Kind::number:
          return n.exact;
        case Kind::channel:
          return wide[n.channel] != nullptr ? wide[n.channel][k] : ExactNumber(columns[n.channel][k]);
        default: {
          const ExactNumber left = at(n.left, k);
          return apply(n.kind, left, takes_one(n.kind) ? left : at(n.right, k));
        }
      }
    }
  };
  if (has_wide(root, wide) && !is_rounded(node.left) && !is_rounded(node.right)) {
    const WideNumbers numbers{*this, columns, wide};
    for (std::size_t k = 0; k < count; ++k)
      result[k] = compare(node.kind, numbers.at(node.left, k), numbers.at(node.right, k)) ? 1 : 0;
    return;
  }
  const Numbers numbers{*this, columns};
  const Node& left = nodes_[node.left];
  const Node& right = nodes_[node.right];
  if (left.kind == Kind::channel && right.kind == Kind::number) {
    const double* values = columns[left.channel];
    for (std::size_t k = 0; k < count; ++k) result[k] = compare(node.kind, values[k], right.number) ? 1 : 0;
    return;
  }
  for (std::size_t k = 0; k < count; ++k)
    result[k] = compare(node.kind, numbers.at(node.left, k), numbers.at(node.right, k)) ? 1 : 0;
}

Verdict Condition::verdict(std::size_t root, const std::vector<ValueRange>& ranges) const {
  struct Walk {
    const Condition& condition;
    const std::vector<ValueRange>& ranges;
    ValueRange number(std::size_t index) const {
      const Node& n = condition.nodes_[index];
      switch (n.kind) {
        case Kind::number:
          return n.exact == n.number ? ValueRange{n.number, n.number, false} : widened({n.number, n.number, false});
        case Kind::channel:
          return ranges[n.channel].wide ? widened(ranges[n.channel]) : ranges[n.channel];
        default: {
          const ValueRange left = number(n.left);
          return range_of(n.kind, left, takes_one(n.kind) ? left : number(n.right));
        }
      }
    }
    Verdict logical(std::size_t index) const {
      const Node& n = condition.nodes_[index];
      if (is_comparison(n.kind)) return compare_ranges(n.kind, number(n.left), number(n.right));
      const Verdict a = logical(n.left);
      if (n.kind == Kind::logical_not)
        return a == Verdict::never ? Verdict::always : a == Verdict::always ? Verdict::never : Verdict::maybe;
      const Verdict b = logical(n.right);
      const Verdict decides = n.kind == Kind::logical_and ? Verdict::never : Verdict::always;
      if (a == decides || b == decides) return decides;
      return a == Verdict::maybe || b == Verdict::maybe ? Verdict::maybe : a;
    }
  };
  return Walk{*this, ranges}.logical(root);
}

}  // namespace sds
