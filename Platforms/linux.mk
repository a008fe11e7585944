# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Builds the static arm64 Linux program `martlet`:
#
#   make -f Platforms/linux.mk LIBRARIES=FOLDER
#
# LIBRARIES is a folder with Debian's zlib1g-dev:arm64 unpacked in it (usr/include/zlib.h,
# usr/lib/aarch64-linux-gnu/libz.a). The C library is Debian's libc6-dev-arm64-cross. The
# result is $(SCRATCH)/martlet, without debug information; the linked file with it lies at
# $(SCRATCH)/release/martlet.

SCRATCH ?= .build-linux
SYSROOT ?= /usr/aarch64-linux-gnu
CROSS_CC ?= aarch64-linux-gnu-gcc
SWIFT ?= swift

ifndef LIBRARIES
$(error LIBRARIES is not set: name the folder that zlib1g-dev:arm64 is unpacked in)
endif

# The compiler's own folders are asked for and not guessed, since they carry version numbers.
GCC_FOLDER := $(dir $(shell $(CROSS_CC) -print-libgcc-file-name))
SWIFT_FOLDER := $(shell $(SWIFT) -print-target-info | sed -n 's/^ *"runtimeResourcePath": "\(.*\)".*/\1/p')
OBJCOPY ?= $(SWIFT_FOLDER)/../../bin/llvm-objcopy
UNICODE := $(SWIFT_FOLDER)/embedded/aarch64-none-none-elf/libswiftUnicodeDataTables.a

INCLUDE := $(SYSROOT)/include $(LIBRARIES)/usr/include

# The order is the one of a static program: start files, our objects (which the driver puts
# in front of these), libraries, end files.
LINK := $(SYSROOT)/lib/crt1.o $(SYSROOT)/lib/crti.o $(GCC_FOLDER)crtbeginT.o \
	-L$(SYSROOT)/lib -L$(GCC_FOLDER) \
	$(LIBRARIES)/usr/lib/aarch64-linux-gnu/libz.a $(UNICODE) \
	--start-group -lc -lgcc -lgcc_eh --end-group \
	$(GCC_FOLDER)crtend.o $(SYSROOT)/lib/crtn.o \
	--gc-sections

.PHONY: martlet
martlet:
	MARTLET_WORLD=linux $(SWIFT) build --triple aarch64-none-none-elf --toolset Platforms/linux.json \
		--scratch-path $(SCRATCH) -c release --product martlet \
		$(foreach folder,$(INCLUDE),-Xcc -isystem -Xcc $(folder)) \
		$(foreach word,$(LINK),-Xlinker $(word))
	$(OBJCOPY) --strip-debug $(SCRATCH)/release/martlet $(SCRATCH)/martlet
