/* core/text_stream.h */
#include "core/text_stream.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(text_stream, has_what_was_written)
{
    struct text_stream stream;
    text_stream_open(&stream);
    for (int i = 0; i < 10000; i++)
        fprintf(stream.out, "%04d", i);
    char *text = text_stream_close(&stream);
    cr_expect_eq(stream.size, 40000);
    cr_expect_eq(text[stream.size], '\0');
    cr_expect(strncmp(text + 4 * 1234, "12341235", 8) == 0);
    free(text);
}

Test(text_stream, may_be_empty)
{
    struct text_stream stream;
    text_stream_open(&stream);
    char *text = text_stream_close(&stream);
    cr_expect_eq(stream.size, 0);
    cr_expect_str_eq(text, "");
    free(text);
}
