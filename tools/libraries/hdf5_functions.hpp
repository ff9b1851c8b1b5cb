// What sdskit calls of HDF5, under HDF5's names (module.hpp says why).
#pragma once

#include <hdf5.h>

#include "sds/format/error.hpp"

namespace sds {

struct Hdf5Functions {
  decltype(&::H5Aclose) H5Aclose = &::H5Aclose;
  decltype(&::H5Acreate2) H5Acreate2 = &::H5Acreate2;
  decltype(&::H5Aexists) H5Aexists = &::H5Aexists;
  decltype(&::H5Awrite) H5Awrite = &::H5Awrite;
  decltype(&::H5Dclose) H5Dclose = &::H5Dclose;
  decltype(&::H5Dcreate2) H5Dcreate2 = &::H5Dcreate2;
  decltype(&::H5Dset_extent) H5Dset_extent = &::H5Dset_extent;
  decltype(&::H5Dwrite) H5Dwrite = &::H5Dwrite;
  decltype(&::H5Dwrite_chunk) H5Dwrite_chunk = &::H5Dwrite_chunk;
  decltype(&::H5Eset_auto2) H5Eset_auto2 = &::H5Eset_auto2;
  decltype(&::H5Ewalk2) H5Ewalk2 = &::H5Ewalk2;
  decltype(&::H5Fclose) H5Fclose = &::H5Fclose;
  decltype(&::H5Fcreate) H5Fcreate = &::H5Fcreate;
  decltype(&::H5Fflush) H5Fflush = &::H5Fflush;
  decltype(&::H5Gclose) H5Gclose = &::H5Gclose;
  decltype(&::H5Gcreate2) H5Gcreate2 = &::H5Gcreate2;
  decltype(&::H5Pclose) H5Pclose = &::H5Pclose;
  decltype(&::H5Pcreate) H5Pcreate = &::H5Pcreate;
  decltype(&::H5Pset_chunk) H5Pset_chunk = &::H5Pset_chunk;
  decltype(&::H5Pset_chunk_cache) H5Pset_chunk_cache = &::H5Pset_chunk_cache;
  decltype(&::H5Pset_deflate) H5Pset_deflate = &::H5Pset_deflate;
  decltype(&::H5Pset_fill_time) H5Pset_fill_time = &::H5Pset_fill_time;
  decltype(&::H5Pset_obj_track_times) H5Pset_obj_track_times = &::H5Pset_obj_track_times;
  decltype(&::H5Pset_shuffle) H5Pset_shuffle = &::H5Pset_shuffle;
  decltype(&::H5Sclose) H5Sclose = &::H5Sclose;
  decltype(&::H5Screate) H5Screate = &::H5Screate;
  decltype(&::H5Screate_simple) H5Screate_simple = &::H5Screate_simple;
  decltype(&::H5Tclose) H5Tclose = &::H5Tclose;
  decltype(&::H5Tcopy) H5Tcopy = &::H5Tcopy;
  decltype(&::H5Tset_cset) H5Tset_cset = &::H5Tset_cset;
  decltype(&::H5Tset_size) H5Tset_size = &::H5Tset_size;
  decltype(&::H5Tset_strpad) H5Tset_strpad = &::H5Tset_strpad;
  decltype(&::H5check_version) H5check_version = &::H5check_version;
  decltype(&::H5dont_atexit) H5dont_atexit = &::H5dont_atexit;
  // HDF5 numbers its types and classes of properties when it is opened; its macros read these variables.
  const hid_t* c_s1 = &::H5T_C_S1_g;
  const hid_t* native_double = &::H5T_NATIVE_DOUBLE_g;
  const hid_t* std_u8le = &::H5T_STD_U8LE_g;
  const hid_t* std_i8le = &::H5T_STD_I8LE_g;
  const hid_t* std_u16le = &::H5T_STD_U16LE_g;
  const hid_t* std_i16le = &::H5T_STD_I16LE_g;
  const hid_t* std_u32le = &::H5T_STD_U32LE_g;
  const hid_t* std_i32le = &::H5T_STD_I32LE_g;
  const hid_t* std_u64le = &::H5T_STD_U64LE_g;
  const hid_t* std_i64le = &::H5T_STD_I64LE_g;
  const hid_t* ieee_f32le = &::H5T_IEEE_F32LE_g;
  const hid_t* ieee_f64le = &::H5T_IEEE_F64LE_g;
  const hid_t* group_create = &::H5P_CLS_GROUP_CREATE_ID_g;
  const hid_t* dataset_create = &::H5P_CLS_DATASET_CREATE_ID_g;
  const hid_t* dataset_access = &::H5P_CLS_DATASET_ACCESS_ID_g;
};

/// An error where HDF5 is a module that cannot be loaded.
Expected<const Hdf5Functions*> hdf5_functions();

/// For code that has asked hdf5_functions() whether it is there.
inline const Hdf5Functions& h5() { return **hdf5_functions(); }

}  // namespace sds
