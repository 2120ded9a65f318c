/* Internationalised names: see idn.h. The only file that knows libidn2. */
#include "idn.h"

#include "core/memory.h"

#include <idn2.h>

bool idn_to_ascii(struct slice text, char name[static HOST_MAX_BYTES + 1])
{
    uint8_t terminated[4 * HOST_MAX_BYTES + 1];
    uint8_t *ascii = NULL;

    if (text.size == 0 || text.size >= sizeof(terminated) || slice_has(text, '\0'))
        return false;
    memcpy(terminated, text.data, text.size);
    terminated[text.size] = '\0';
    /* Non-transitional, as browsers do: "straße" is xn--strae-oqa, not "strasse". */
    int result = idn2_lookup_u8(terminated, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (result == IDN2_MALLOC)
        memory_give_up(text.size); /* the name is none the worse for it */
    if (result != IDN2_OK)
        return false;
    size_t size = strlen((const char *)ascii);
    bool fits = size <= HOST_MAX_BYTES;
    if (fits)
        memcpy(name, ascii, size + 1);
    idn2_free(ascii);
    return fits;
}
