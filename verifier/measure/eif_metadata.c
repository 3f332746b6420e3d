#include "eif_metadata.h"

#include <stdio.h>

#include "common/json_reader.h"

/* Of BuildMetadata, in the order in which nitro-cli shows them. */
static const char *const build_members[] = {"BuildTime", "BuildTool", "BuildToolVersion",
                                            "OperatingSystem", "KernelVersion"};

static enum err check_members(json_t *metadata, struct fault *fault)
{
    const char *text = NULL;
    json_t *build = NULL;
    const struct json_member members[] = {
        {"ImageName", JSON_MEMBER_TEXT, true, &text},
        {"ImageVersion", JSON_MEMBER_TEXT, true, &text},
        {"BuildMetadata", JSON_MEMBER_OBJECT, true, &build},
    };
    TRY(json_reader_object(metadata, "", JSON_ANSWER, members, ARRAY_LEN(members), fault));
    for (size_t i = 0; i < ARRAY_LEN(build_members); i++) {
        const struct json_member member = {build_members[i], JSON_MEMBER_TEXT, true, &text};
        TRY(json_reader_object(build, "BuildMetadata", JSON_ANSWER, &member, 1, fault));
    }
    const json_t *custom = json_object_get(metadata, "CustomMetadata");
    if (custom != NULL && !json_is_object(custom) && !json_is_null(custom))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "CustomMetadata"), ERR_MALFORMED,
             "must be an object or null");
    return ERR_OK;
}

enum err eif_metadata_parse(struct bytes text, size_t base, json_t **out, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *metadata = NULL;
    enum err err = json_reader_parse(text, &metadata, fault);
    if (err == ERR_OK)
        err = check_members(metadata, fault);
    if (err == ERR_MALFORMED && fault != NULL) {
        fault->code = ERR_EIF;
        fault->offset = base + (fault->offset == FAULT_NO_OFFSET ? 0 : fault->offset);
    }
    if (err != ERR_OK)
        return err == ERR_MALFORMED ? ERR_EIF : err;
    *out = TAKE(metadata);
    return ERR_OK;
}

static const char *text_member(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

void eif_metadata_provenance(const json_t *metadata, struct nitro_measurements *m)
{
    const json_t *build = json_object_get(metadata, "BuildMetadata");
    snprintf(m->provenance, sizeof m->provenance, "EIF, measured here");
    nitro_provenance_add(m, "ImageName", text_member(metadata, "ImageName"));
    nitro_provenance_add(m, "ImageVersion", text_member(metadata, "ImageVersion"));
    nitro_provenance_add(m, "BuildTime", text_member(build, "BuildTime"));
    nitro_provenance_add(m, "BuildTool", text_member(build, "BuildTool"));
    nitro_provenance_add(m, "BuildToolVersion", text_member(build, "BuildToolVersion"));
    nitro_provenance_add(m, "KernelVersion", text_member(build, "KernelVersion"));
}

/* A copy of the reference: json_object_set_new would take the caller's. */
static enum err set(json_t *object, const char *name, json_t *value)
{
    return json_object_set(object, name, value) == 0 ? ERR_OK : ERR_NO_MEMORY;
}

enum err eif_metadata_describe(json_t *metadata, json_t *description)
{
    CLEANUP(json_decrefp) json_t *shown = json_object();
    CLEANUP(json_decrefp) json_t *null = json_null();
    json_t *build = json_object_get(metadata, "BuildMetadata");
    json_t *docker = json_object_get(metadata, "DockerInfo");
    json_t *custom = json_object_get(metadata, "CustomMetadata");
    TRY(set(description, "ImageName", json_object_get(metadata, "ImageName")));
    TRY(set(description, "ImageVersion", json_object_get(metadata, "ImageVersion")));
    for (size_t i = 0; i < ARRAY_LEN(build_members); i++)
        TRY(set(shown, build_members[i], json_object_get(build, build_members[i])));
    TRY(set(shown, "DockerInfo", docker == NULL ? null : docker));
    /* nitro-cli puts the builder's own members beside the others; they replace none here. */
    if (json_is_object(custom) && json_object_update_missing(shown, custom) != 0)
        return ERR_NO_MEMORY;
    return set(description, "Metadata", shown);
}
