#include "hdf5_functions.hpp"
#include "module.hpp"

namespace {

constexpr sds::Hdf5Functions hdf5_table;

}  // namespace

const sds::Module sds::sdskit_module = sds::module_of(hdf5_table);
