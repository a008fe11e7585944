// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// gzip streams, by zlib.

#include "CLinux.h"
#include <stdlib.h>
#include <zlib.h>

void *_Nullable clinux_inflate_create(void)
{
    z_stream *stream = calloc(1, sizeof *stream);
    // A window of 2^15 bytes is the largest that gzip has; 16 more selects the gzip wrapper with its checksum.
    if (stream && inflateInit2(stream, 15 + 16) != Z_OK) {
        free(stream);
        return NULL;
    }
    return stream;
}

void clinux_inflate_destroy(void *inflater)
{
    inflateEnd(inflater);
    free(inflater);
}

enum clinux_inflate_result clinux_inflate_step(void *inflater, const void *_Nullable input, uint32_t input_count,
                                               void *_Nullable output, uint32_t output_count, uint32_t *input_used,
                                               uint32_t *output_used)
{
    z_stream *stream = inflater;
    stream->next_in = (Bytef *)input;
    stream->avail_in = input_count;
    stream->next_out = output;
    stream->avail_out = output_count;
    int result = inflate(stream, Z_NO_FLUSH);
    *input_used = input_count - stream->avail_in;
    *output_used = output_count - stream->avail_out;
    switch (result) {
    case Z_OK:
    case Z_BUF_ERROR: // No progress was possible, which the two counts say too.
        return CLINUX_INFLATE_MORE;
    case Z_STREAM_END:
        return CLINUX_INFLATE_END;
    case Z_MEM_ERROR:
        return CLINUX_INFLATE_NO_MEMORY;
    default:
        return CLINUX_INFLATE_DAMAGED;
    }
}
