# ul_build_id: a library with one string, "<version>-<commit>[+changes]", looked up at every build and rewritten only when it
# changes. No time stamp: the same sources give the same program.
#   extern const char ul_build_id[];      (build_id.h)
set(UL_BUILD_ID_C ${PROJECT_BINARY_DIR}/gen/build_id.c)
add_custom_target(ul_build_id_text BYPRODUCTS ${UL_BUILD_ID_C}
    COMMAND ${CMAKE_COMMAND} -D SOURCE=${PROJECT_SOURCE_DIR} -D VERSION=${PROJECT_VERSION} -D OUT=${UL_BUILD_ID_C}
        -P ${PROJECT_SOURCE_DIR}/cmake/write_build_id.cmake
    COMMENT "" VERBATIM)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/gen/build_id.h CONTENT
"/* Which sources this program was built from: version, commit, \"+changes\" when the tree had any. */
#ifndef UL_BUILD_ID_H
#define UL_BUILD_ID_H
extern const char ul_build_id[];
#endif
" @ONLY)
add_library(ul_build_id STATIC ${UL_BUILD_ID_C})
target_link_libraries(ul_build_id PUBLIC ul_flags)
add_dependencies(ul_build_id ul_build_id_text)
