/* Labels that are on nobody's list: see unlisted.h. */
#include "unlisted.h"

#include "kind.h"
#include "route/label_map.h"

bool unlisted_decide(struct decision *decision)
{
    const struct label_map *labels = decision->match.tenant->labels;
    const struct slice label = decision->match.label;
    const struct label_row *row = labels != NULL ? label_map_find(labels, label) : NULL;
    if (labels == NULL || (row != NULL && row->port != 0))
        return false;
    if (row != NULL) { /* its line is wrong, as was told when it was read: nobody is to wait */
        decision->outcome = OUTCOME_DENY_UNRESOLVED;
        decision->status = 503;
        decision->target = decision->match.brief;
        return true;
    }
    decision->outcome = OUTCOME_DENY_UNKNOWN_LABEL;
    decision->status = labels->unknown_status;
    if (labels->unknown_to.part_count == 0 || !kind_is_page(decision))
        return true;
    const struct template_values values = {.value = {[HEADER_LABEL] = label}};
    struct writer location = writer_of(decision->location_buffer, LOCATION_MAX_BYTES);
    template_write(&labels->unknown_to, &values, &location);
    assert(!location.failed); /* there is room for the longest label */
    decision->location = writer_written(&location);
    decision->outcome = OUTCOME_REDIRECT_UNLISTED;
    decision->status = 302;
    return true;
}
