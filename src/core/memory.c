/* Allocation that ends the program on failure: see core/memory.h. */
#include "core/memory.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

void memory_give_up(size_t size)
{
    fprintf(stderr, "owui-spoa: out of memory (%zu bytes wanted)\n", size);
    abort();
}

void *memory_new(size_t size)
{
    void *block = calloc(1, size > 0 ? size : 1);
    if (block == NULL)
        memory_give_up(size);
    return block;
}

void *memory_new_aligned(size_t alignment, size_t size)
{
    void *block = NULL;
    if (posix_memalign(&block, alignment, size) != 0)
        memory_give_up(size);
    return memset(block, 0, size);
}

void *memory_new_pages(size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        memory_give_up(size);
    return pages;
}

void memory_free_pages(void *pages, size_t size)
{
    if (pages != NULL)
        munmap(pages, size);
}

void *memory_resize(void *block, size_t count, size_t size)
{
    void *resized = reallocarray(block, count > 0 ? count : 1, size);
    if (resized == NULL)
        memory_give_up(count * size);
    return resized;
}

char *memory_copy_text(struct slice text)
{
    char *copy = malloc(text.size + 1);
    if (copy == NULL)
        memory_give_up(text.size + 1);
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return copy;
}

char *memory_copy_optional(const char *text)
{
    return text != NULL ? memory_copy_text(slice_of(text)) : NULL;
}

char *memory_format_list(const char *format, va_list arguments)
{
    char *text = NULL;
    int length = vasprintf(&text, format, arguments);
    if (length < 0 || text == NULL)
        memory_give_up(0);
    return text;
}

void memory_free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

int memory_compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t memory_sort_texts_once(char **texts, size_t count)
{
    size_t kept = 0;
    if (count > 0)
        qsort(texts, count, sizeof(*texts), memory_compare_texts);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && strcmp(texts[kept - 1], texts[i]) == 0)
            free(texts[i]);
        else
            texts[kept++] = texts[i];
    }
    return kept;
}

char *memory_format(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = memory_format_list(format, arguments);
    va_end(arguments);
    return text;
}

void memory_trim(void)
{
    malloc_trim(0);
}

void memory_wipe(void *block, size_t size)
{
    if (block != NULL)
        explicit_bzero(block, size);
}
