# weft_bpf_skeleton(NAME): bpf/NAME.bpf.c -> NAME.bpf.o (clang-19) -> <skel/NAME.skel.h>, carried by target bpf::NAME.
find_program(BPF_CLANG NAMES clang-19 REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)
function(weft_bpf_skeleton name)
    set(source ${CMAKE_SOURCE_DIR}/bpf/${name}.bpf.c)
    set(object ${CMAKE_BINARY_DIR}/bpf/${name}.bpf.o)
    set(skeleton ${CMAKE_BINARY_DIR}/bpf/include/skel/${name}.skel.h)
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/bpf/include/skel)
    file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bpf/abi/*.h ${CMAKE_SOURCE_DIR}/bpf/lib/*.h)
    add_custom_command(
        OUTPUT ${object}
        COMMAND ${BPF_CLANG} -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter
                -I${CMAKE_SOURCE_DIR}/bpf -I/usr/include/x86_64-linux-gnu -c ${source} -o ${object}
        DEPENDS ${source} ${headers}
        VERBATIM)
    add_custom_command(
        OUTPUT ${skeleton}
        COMMAND ${BPFTOOL} gen skeleton ${object} name ${name}_bpf > ${skeleton}
        DEPENDS ${object}
        VERBATIM)
    add_custom_target(skel_${name} DEPENDS ${skeleton})
    add_library(bpf_${name} INTERFACE)
    target_include_directories(bpf_${name} SYSTEM INTERFACE ${CMAKE_BINARY_DIR}/bpf/include)
    target_link_libraries(bpf_${name} INTERFACE dep::bpf)
    add_dependencies(bpf_${name} skel_${name})
    add_library(bpf::${name} ALIAS bpf_${name})
endfunction()
