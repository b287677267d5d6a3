# Tests that are not one cmocka file a room: golden records, and the program as a user meets it.
file(GLOB golden_src CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/test/golden/*.c)
add_executable(golden ${golden_src})
target_include_directories(golden PRIVATE test test/golden)
target_compile_definitions(golden PRIVATE UL_UNSUPPORTED="${PROJECT_SOURCE_DIR}/test/golden/unsupported.txt")
target_link_libraries(golden PRIVATE room_audit)
foreach(kind families tokenizers lora bf16 train eval)
    add_test(NAME golden/${kind} COMMAND ${PROJECT_SOURCE_DIR}/test/golden/run.sh $<TARGET_FILE:golden> ${UL_SHARED}/golden/${kind})
    set_tests_properties(golden/${kind} PROPERTIES LABELS golden TIMEOUT 600 SKIP_RETURN_CODE 77
        ENVIRONMENT "UL_SHARED=${UL_SHARED};OMP_WAIT_POLICY=passive")
endforeach()

file(GLOB cli_tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/test/cli/*.sh)
foreach(f IN LISTS cli_tests)
    get_filename_component(n ${f} NAME_WE)
    if(NOT n MATCHES "^_")
        add_test(NAME cli/${n} COMMAND ${f} $<TARGET_FILE:unlearn> ${PROJECT_SOURCE_DIR})
        set_tests_properties(cli/${n} PROPERTIES LABELS cli TIMEOUT 600 SKIP_RETURN_CODE 77
            ENVIRONMENT "UL_SHARED=${UL_SHARED};OMP_WAIT_POLICY=passive")
    endif()
endforeach()

# The browser's half of the report's test is a script beside the checkers.
foreach(t test_audit_report test_audit_parameters test_defaults)
    target_compile_definitions(${t} PRIVATE UL_SOURCE="${PROJECT_SOURCE_DIR}")
endforeach()

# The micro-kernels of AVX-512 and AMX with their instructions emulated: test_bits runs them on machines that have neither.
# Not under sanitizers: compiling them instrumented takes many minutes.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT UL_SANITIZE)
    file(GLOB product_src CONFIGURE_DEPENDS src/backend/kernel/gemm*.c src/backend/kernel/attn*.c src/backend/kernel/panel.c)
    foreach(target avx512 amx)
        add_library(emulated_${target} OBJECT ${product_src})
        target_include_directories(emulated_${target} BEFORE PRIVATE test/emulated)
        target_link_libraries(emulated_${target} PRIVATE ul_flags OpenMP::OpenMP_C)
        target_compile_definitions(emulated_${target} PRIVATE UL_TARGET=emulated_${target} UL_TARGET_${target}=1)
        target_compile_options(emulated_${target} PRIVATE -O2 -mavx2 -mfma -Wno-psabi)
        target_link_libraries(test_bits PRIVATE emulated_${target})
    endforeach()
    target_compile_definitions(test_bits PRIVATE UL_EMULATED=1)
endif()

# Every method on every family: minutes on a busy machine.
set_tests_properties(prop/procedure/test_matrix PROPERTIES TIMEOUT 900)
