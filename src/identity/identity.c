/* Values of an identity: see identity/identity.h. */
#include "identity/identity.h"

#include "core/cursor.h"
#include "core/utf8.h"

static const char *const REFUSAL_NAMES[] = {
#define X(NAME, TEXT) [IDENTITY_REFUSAL_##NAME] = TEXT,
    IDENTITY_REFUSAL_TABLE(X)
#undef X
};
static_assert(COUNT_OF(REFUSAL_NAMES) == IDENTITY_REFUSAL__MAX, "a refusal has no name");

const char *identity_refusal_name(enum identity_refusal refusal)
{
    return refusal < IDENTITY_REFUSAL__MAX ? REFUSAL_NAMES[refusal] : "unknown";
}

/* RFC 5322 allows more; whoever has a quoted local part has to live without single sign-on. */
static bool is_email_byte(char c)
{
    return ascii_is_lower(c) || ascii_is_digit(c) || byte_is_one_of(c, ".!#$%&'*+/=?^_`{|}~-");
}

static bool is_domain_byte(char c)
{
    return ascii_is_lower(c) || ascii_is_digit(c) || c == '.' || c == '-';
}

bool identity_set_email(struct identity *identity, struct slice email)
{
    char *text = identity->text[IDENTITY_EMAIL];
    size_t at = 0, at_count = 0;
    identity->size[IDENTITY_EMAIL] = 0;
    if (email.size > identity_value_max_bytes(IDENTITY_EMAIL))
        return false;
    for (size_t i = 0; i < email.size; i++) {
        text[i] = ascii_lower(email.data[i]);
        if (text[i] == '@') {
            at = i;
            at_count++;
        } else if (at_count == 0 ? !is_email_byte(text[i]) : !is_domain_byte(text[i])) {
            return false;
        }
    }
    if (at_count != 1 || at == 0 || at + 1 == email.size)
        return false;
    identity->size[IDENTITY_EMAIL] = (uint8_t)email.size;
    return true;
}

static bool is_plain(char c)
{
    return (uint8_t)c >= 0x20 && (uint8_t)c < 0x7f && c != '%' && c != ',';
}

/* One byte, or "%E9" for one that is not plain; false when it does not fit. */
static bool put_encoded(struct writer *writer, char c)
{
    static const char DIGITS[] = "0123456789ABCDEF";
    if (is_plain(c)) {
        writer_u8(writer, (uint8_t)c);
    } else {
        const char encoded[] = {'%', DIGITS[(uint8_t)c >> 4], DIGITS[(uint8_t)c & 15]};
        writer_bytes(writer, slice_from(encoded, sizeof(encoded)));
    }
    return !writer->failed;
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((uint8_t)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return true;
    return false;
}

static bool put_character(struct writer *writer, struct slice character)
{
    struct writer attempt = *writer;
    for (size_t i = 0; i < character.size; i++)
        if (!put_encoded(&attempt, character.data[i]))
            return false;
    *writer = attempt;
    return true;
}

bool identity_set_name(struct identity *identity, struct slice name)
{
    struct writer writer =
        writer_of(identity->text[IDENTITY_NAME], identity_value_max_bytes(IDENTITY_NAME));
    identity->size[IDENTITY_NAME] = 0;
    name = slice_trim(name);
    if (has_control(name))
        return false;
    while (name.size > 0) {
        struct slice character = utf8_first(name);
        if (!put_character(&writer, character))
            break;
        name = slice_skip(name, character.size);
    }
    identity->size[IDENTITY_NAME] = (uint8_t)writer_used(&writer);
    return true;
}

/* The byte that its server reads as the character at the start of `text`, or -1. */
static int latin1_byte(struct slice text)
{
    uint8_t first = (uint8_t)text.data[0];
    uint8_t second = text.size > 1 ? (uint8_t)text.data[1] : 0;
    if (first < 0x80)
        return first;
    if (first == 0xc2 && second >= 0xa0 && second < 0xc0)
        return second;
    return first == 0xc3 && second >= 0x80 && second < 0xc0 ? second + 0x40 : -1;
}

/* Open WebUI decodes no groups, and its server (Starlette) takes a header for Latin-1. A group that
 * has other characters is none that could be told, and is left in UTF-8: nobody is a member of what
 * Open WebUI reads there, and memberships that have ended do end. */
static struct slice group_as_read(struct slice group, char buffer[static IDENTITY_TEXT_MAX_BYTES])
{
    size_t used = 0;
    for (struct slice rest = group; rest.size > 0; rest = slice_skip(rest, utf8_first(rest).size)) {
        int byte = latin1_byte(rest);
        if (byte < 0 || used == IDENTITY_TEXT_MAX_BYTES)
            return group;
        buffer[used++] = (char)byte;
    }
    return slice_from(buffer, used);
}

/* Python's strip() takes no-break spaces off, too. */
static bool has_blank_end(struct slice text)
{
    static const struct slice NO_BREAK = {"\xc2\xa0", 2};
    return slice_trim(text).size != text.size || slice_starts_with(text, NO_BREAK) ||
           slice_ends_with(text, NO_BREAK);
}

/* Whole or not at all: half a group is another group, and so is one whose blanks Open WebUI takes
 * off when it splits the list. */
bool identity_add_group(struct identity *identity, struct slice group)
{
    char buffer[IDENTITY_TEXT_MAX_BYTES];
    size_t used = identity->size[IDENTITY_GROUPS];
    struct writer writer =
        writer_of(identity->text[IDENTITY_GROUPS], identity_value_max_bytes(IDENTITY_GROUPS));
    writer.position += used;
    if (group.size == 0 || has_control(group) || slice_has(group, ',') || has_blank_end(group))
        return false;
    if (used > 0)
        writer_u8(&writer, ',');
    writer_bytes(&writer, group_as_read(group, buffer));
    if (writer.failed)
        return false;
    identity->size[IDENTITY_GROUPS] = (uint8_t)writer_used(&writer);
    return true;
}

static bool is_role_byte(char c)
{
    return ascii_is_alphanumeric(c) || c == '_' || c == '-';
}

bool identity_set_role(struct identity *identity, struct slice role)
{
    identity->size[IDENTITY_ROLE] = 0;
    if (role.size == 0 || role.size > identity_value_max_bytes(IDENTITY_ROLE) ||
        !slice_consists_of(role, is_role_byte))
        return false;
    memcpy(identity->text[IDENTITY_ROLE], role.data, role.size);
    identity->size[IDENTITY_ROLE] = (uint8_t)role.size;
    return true;
}
