# One file, one program, one ctest name. test/<kind>/<room>/test_x.c links the room it is named after (and what lies below);
# a test that needs ../shared says so by exiting 77 (reported as skipped).
# Waiting threads sleep: several tests share the cores.
set(UL_SHARED "${PROJECT_SOURCE_DIR}/../shared" CACHE PATH "folder of shared test data; tests that need it skip without it")
set(UL_TEST_ROOMS_train room_method) # the loop never names a method; its tests drive it with real ones
set(UL_TEST_ROOMS_wrapper room_method)
foreach(kind unit grad prop fuzz torture)
    file(GLOB tests CONFIGURE_DEPENDS test/${kind}/*/test_*.c)
    foreach(f IN LISTS tests)
        get_filename_component(n ${f} NAME_WE)
        get_filename_component(room ${f} DIRECTORY)
        get_filename_component(room ${room} NAME)
        add_executable(${n} ${f})
        target_include_directories(${n} PRIVATE test)
        target_link_libraries(${n} PRIVATE room_${room} ${UL_TEST_ROOMS_${room}} PkgConfig::CMOCKA)
        add_test(NAME ${kind}/${room}/${n} COMMAND ${n} WORKING_DIRECTORY ${PROJECT_BINARY_DIR})
        set_tests_properties(${kind}/${room}/${n} PROPERTIES LABELS ${kind} TIMEOUT 300 SKIP_RETURN_CODE 77
            ENVIRONMENT "UL_SHARED=${UL_SHARED};OMP_WAIT_POLICY=passive")
    endforeach()
endforeach()
if(EXISTS ${PROJECT_SOURCE_DIR}/test/tests.cmake)
    include(test/tests.cmake)
endif()
# The house itself: the checkers catch planted faults; the installed library is whole and has no mutable globals.
add_test(NAME house/checks COMMAND ${PROJECT_SOURCE_DIR}/test/house/checks.sh ${PROJECT_SOURCE_DIR})
if(NOT UL_SANITIZE)
    add_test(NAME house/globals COMMAND ${PROJECT_SOURCE_DIR}/tools/check-banned ${PROJECT_BINARY_DIR}/libunlearn.a)
    add_test(NAME house/install COMMAND ${PROJECT_SOURCE_DIR}/test/house/install.sh ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
endif()
