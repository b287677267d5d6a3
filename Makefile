# The front door only: CMake holds the one build definition.
P ?= release
J ?= $(shell nproc)
UNLEARN = build/$(P)/unlearn
.PHONY: all setup demo test golden bench asan tsan check install clean
all: build/$(P)/cmake_install.cmake
	cmake --build --preset $(P) -j$(J)
build/$(P)/cmake_install.cmake: # written when a configuration succeeded
	cmake --preset $(P)
setup:
	@tools/setup
demo: setup
	@$(MAKE) --no-print-directory all
	$(UNLEARN) demo --out demo-out --force
test: setup
	@$(MAKE) --no-print-directory all
	ctest --preset $(P) -j$(J)
golden: all
	build/$(P)/golden $(DIRS)
bench: all
	$(UNLEARN) bench
asan tsan:
	@$(MAKE) --no-print-directory all P=$@
	ctest --preset $@ -L "$(if $(filter asan,$@),unit|fuzz|torture,unit)" -j$(J)
check:
	tools/check-layers && tools/check-length && tools/check-columns && tools/check-banned $(wildcard build/$(P)/libunlearn.a)
install: all
	cmake --install build/$(P)
clean:
	rm -rf build demo-out
