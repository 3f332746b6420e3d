/* Prints the options with which `measurement add` registers the build that bench_release
 * plays: one a line. */
#include <stdio.h>

#include "common/codec.h"
#include "tests/lib/mkdoc.h"

int main(void)
{
    struct mkdoc_fields fields;
    mkdoc_fields_defaults(&fields, 0, "", 1);
    for (unsigned i = 0; i < 3; i++) {
        char hex[2 * ATTDOC_PCR_LEN + 1];
        hex_encode(bytes_of(fields.pcr[i], ATTDOC_PCR_LEN), hex);
        printf("--pcr\n%u=%s\n", i, hex);
    }
    return 0;
}
