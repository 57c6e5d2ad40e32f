# Flags for every target. Debug info is -g1: enough for a backtrace, a third of the link time.
add_compile_options(-Wall -Wextra -Wno-missing-field-initializers $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
                    -fno-omit-frame-pointer
                    -pthread)  # some packages ask for it: all or none, or they could not share the precompiled header
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # g++ 12 sees these in the small-string buffer of a moved std::expected (GCC PR 105329 and kin); clang-19 is the second opinion.
    add_compile_options(-Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread -Wno-restrict
                        -Wno-maybe-uninitialized)
endif()
if(WEFT_WERROR)
    add_compile_options(-Werror)
endif()
if(WEFT_SANITIZE)
    add_compile_options(-fsanitize=${WEFT_SANITIZE} -fno-sanitize-recover=undefined)
    add_link_options(-fsanitize=${WEFT_SANITIZE})
endif()

find_program(CCACHE ccache)
if(CCACHE)
    # A precompiled header is identified by its content, not its time: needs the first sloppiness. Paths are made relative,
    # so that another clone of the same source finds what this one compiled.
    set(launcher ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
        CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=/ ${CCACHE})
    set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
    set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()
find_program(MOLD mold)
if(MOLD AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    add_link_options(-fuse-ld=mold)
elseif(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    add_link_options(-fuse-ld=lld)
endif()
set_property(GLOBAL PROPERTY JOB_POOLS link=1)
set(CMAKE_JOB_POOL_LINK link)
