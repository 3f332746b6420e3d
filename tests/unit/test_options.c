#include "common/options.h"

#include "unit.h"

static const struct cli_option table[] = {
    {.name = "at", .arg = "TIME", .help = "a time"},
    {.name = "pcr", .arg = "N=HEX", .help = "a PCR", .repeated = true},
    {.name = "max-age", .arg = "S", .help = "seconds"},
    {.name = "json", .help = "as JSON"},
    {.name = "output", .letter = 'o', .arg = "FORMAT", .help = "how"},
    {0},
};

#define PARSE(args, fault, ...) parse_words((const char *[]){__VA_ARGS__, NULL}, args, fault)

static enum err parse_words(const char *const *words, struct cli_args *args, struct fault *fault)
{
    int count = 0;
    while (words[count] != NULL)
        count++;
    return cli_args_parse(table, count, words, args, fault);
}

/* Refused, with `expected` in the sentence. */
#define REFUSED(expected, ...)                                                                     \
    do {                                                                                           \
        struct fault fault = FAULT_NONE;                                                           \
        struct cli_args args = {.operand_count = 77};                                              \
        ck_err(PARSE(&args, &fault, __VA_ARGS__), ERR_USAGE);                                      \
        ck_assert_msg(strstr(fault.detail, expected) != NULL, "\"%s\" is not in \"%s\"", expected, \
                      fault.detail);                                                               \
        ck_assert_uint_eq(args.operand_count, 77); /* written only on success */                   \
    } while (0)

START_TEST(valid_options)
{
    CLEANUP(cli_args_free) struct cli_args args = {0};
    ck_ok(PARSE(&args, NULL, "--at", "document", "file", "--json", "--pcr=0=aa", "--pcr", "1=bb"));
    ck_assert_str_eq(cli_args_value(&args, "at"), "document");
    ck_assert(cli_args_has(&args, "json"));
    ck_assert(!cli_args_has(&args, "max-age"));
    ck_assert_ptr_null(cli_args_value(&args, "max-age"));
    ck_assert_uint_eq(args.operand_count, 1);
    ck_assert_str_eq(args.operands[0], "file");
    size_t next = 0;
    ck_assert_str_eq(cli_args_next(&args, "pcr", &next), "0=aa");
    ck_assert_str_eq(cli_args_next(&args, "pcr", &next), "1=bb");
    ck_assert_ptr_null(cli_args_next(&args, "pcr", &next));
    ck_assert(!args.help);
}
END_TEST

START_TEST(valid_letter)
{
    CLEANUP(cli_args_free) struct cli_args args = {0};
    CLEANUP(cli_args_free) struct cli_args long_args = {0};
    ck_ok(PARSE(&args, NULL, "-o", "name", "--json"));
    ck_assert_str_eq(cli_args_value(&args, "output"), "name");
    ck_assert(cli_args_has(&args, "json"));
    ck_ok(PARSE(&long_args, NULL, "--output", "name"));
    ck_assert_str_eq(cli_args_value(&long_args, "output"), "name");
}
END_TEST

START_TEST(wrong_letter)
{
    REFUSED("--output needs a value: --output FORMAT", "-o");
    REFUSED("--output was given twice", "-o", "name", "--output", "name");
    REFUSED("unknown option -oname", "-oname");
    REFUSED("unknown option -O", "-O", "name");
}
END_TEST

START_TEST(valid_nothing)
{
    CLEANUP(cli_args_free) struct cli_args args = {0};
    ck_ok(cli_args_parse(table, 0, (const char *[]){NULL}, &args, NULL));
    ck_assert_uint_eq(args.operand_count, 0);
    ck_assert_uint_eq(args.given_count, 0);
}
END_TEST

START_TEST(valid_dash_and_double_dash)
{
    CLEANUP(cli_args_free) struct cli_args args = {0};
    ck_ok(PARSE(&args, NULL, "-", "--", "--json", "--", "-x", "--help"));
    ck_assert_uint_eq(args.operand_count, 5);
    ck_assert_uint_eq(args.operands_bare, 1);
    ck_assert_str_eq(args.operands[0], "-");
    ck_assert_str_eq(args.operands[1], "--json");
    ck_assert_str_eq(args.operands[2], "--");
    ck_assert_str_eq(args.operands[4], "--help");
    ck_assert(!cli_args_has(&args, "json"));
    ck_assert(!args.help);
}
END_TEST

/* A value may be empty or begin with a dash, where it says so plainly. */
START_TEST(valid_strange_values)
{
    CLEANUP(cli_args_free) struct cli_args args = {0};
    ck_ok(PARSE(&args, NULL, "--at=--json", "--pcr", "", "--pcr", "-"));
    ck_assert_str_eq(cli_args_value(&args, "at"), "--json");
    ck_assert(!cli_args_has(&args, "json"));
    size_t next = 0;
    ck_assert_str_eq(cli_args_next(&args, "pcr", &next), "");
    ck_assert_str_eq(cli_args_next(&args, "pcr", &next), "-");
}
END_TEST

START_TEST(valid_help_whatever_else)
{
    struct cli_args args = {0};
    ck_ok(PARSE(&args, NULL, "--nonsense", "--help"));
    ck_assert(args.help);
    cli_args_free(&args);
    ck_ok(PARSE(&args, NULL, "-h"));
    ck_assert(args.help);
    cli_args_free(&args);
}
END_TEST

START_TEST(wrong_option)
{
    REFUSED("unknown option --jsn; did you mean --json?", "--jsn");
    REFUSED("unknown option --max_age; did you mean --max-age?", "--max_age=3");
    REFUSED("unknown option --hepl; did you mean --help?", "--hepl");
    REFUSED("unknown option --frobnicate", "--frobnicate");
    REFUSED("unknown option --js", "--js"); /* no abbreviations */
    REFUSED("unknown option -j", "-j");
    REFUSED("unknown option --", "--=x");
}
END_TEST

START_TEST(long_option)
{
    char text[2000];
    memset(text, 'a', sizeof text - 1);
    text[0] = text[1] = '-';
    text[sizeof text - 1] = '\0';
    REFUSED("unknown option --aaaa", text);
}
END_TEST

START_TEST(no_value)
{
    REFUSED("--at needs a value: --at TIME", "--at");
    REFUSED("--at needs a value", "--at", "--json");
    REFUSED("--json takes no value", "--json=yes");
    REFUSED("--json takes no value", "--json=");
}
END_TEST

START_TEST(wrong_repeated)
{
    REFUSED("--at was given twice", "--at", "x", "--at", "y");
    REFUSED("--json was given twice", "--json", "--json");
}
END_TEST

START_TEST(valid_uint)
{
    CLEANUP(cli_args_free) struct cli_args args = {0};
    uint64_t value = 42;
    ck_ok(PARSE(&args, NULL, "--max-age", "300", "--at", "18446744073709551615"));
    ck_ok(cli_args_uint(&args, "max-age", 0, 300, &value, NULL));
    ck_assert_uint_eq(value, 300);
    ck_ok(cli_args_uint(&args, "at", 0, UINT64_MAX, &value, NULL));
    ck_assert(value == UINT64_MAX);
    ck_ok(cli_args_uint(&args, "pcr", 0, 1, &value, NULL)); /* not given: as it was */
    ck_assert(value == UINT64_MAX);
}
END_TEST

START_TEST(wrong_uint)
{
    static const char *const texts[] = {
        "",
        "-1",
        "+1",
        "01",
        "1 ",
        " 1",
        "0x1",
        "1.0",
        "1e3",
        "abc",
        "11",
        "18446744073709551616",
        "99999999999999999999999",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP(cli_args_free) struct cli_args args = {0};
        struct fault fault = FAULT_NONE;
        uint64_t value = 42;
        const char *const words[] = {"--max-age", texts[i], NULL};
        ck_ok(parse_words(words, &args, NULL));
        ck_err(cli_args_uint(&args, "max-age", 2, 10, &value, &fault), ERR_USAGE);
        ck_assert_ptr_nonnull(strstr(fault.detail, "--max-age takes a number from 2 to 10"));
        ck_assert_uint_eq(value, 42);
    }
}
END_TEST

START_TEST(wrong_uint_below)
{
    CLEANUP(cli_args_free) struct cli_args args = {0};
    uint64_t value = 42;
    ck_ok(PARSE(&args, NULL, "--max-age", "1"));
    ck_err(cli_args_uint(&args, "max-age", 2, 10, &value, NULL), ERR_USAGE);
    ck_assert_uint_eq(value, 42);
}
END_TEST

static struct buf help_text(const struct cli_option *options)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    cli_options_print(options, out);
    ck_assert_int_eq(fclose(out), 0);
    return (struct buf){.ptr = (uint8_t *)text, .len = len, .cap = len};
}

START_TEST(valid_help_text)
{
    CLEANUP(buf_free) struct buf text = help_text(table);
    ck_assert_str_eq((const char *)text.ptr, "  --at TIME             a time\n"
                                             "  --pcr N=HEX           a PCR\n"
                                             "  --max-age S           seconds\n"
                                             "  --json                as JSON\n"
                                             "  --output, -o FORMAT   how\n"
                                             "  --help                show this text\n");
}
END_TEST

START_TEST(long_help_text)
{
    static const struct cli_option wide[] = {
        {.name = "an-option-with-a-long-name",
         .arg = "VALUE",
         .help = "one two three four five six seven eight nine ten eleven twelve thirteen"},
        {0},
    };
    CLEANUP(buf_free) struct buf text = help_text(wide);
    for (char *line = strtok((char *)text.ptr, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        ck_assert_uint_le(strlen(line), 80);
        ck_assert(strncmp(line, "  --", 4) == 0 || strspn(line, " ") == 24);
    }
}
END_TEST

START_TEST(valid_durations)
{
    static const struct {
        const char *text;
        uint64_t seconds; /* 0: refused */
    } cases[] = {
        {"1s", 1},
        {"90s", 90},
        {"30m", 1800},
        {"12h", 43200},
        {"90d", 7776000},
        {"3653d", 315619200},
        {"3654d", 0},
        {"315619201s", 0},
        {"0s", 0},
        {"", 0},
        {"s", 0},
        {"1", 0},
        {"-1s", 0},
        {"1w", 0},
        {"01s", 0},
        {"1.5h", 0},
        {"1 h", 0},
        {"1hs", 0},
        {"18446744073709551617s", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t seconds = 7;
        ck_err(cli_duration_parse(cases[i].text, &seconds),
               cases[i].seconds == 0 ? ERR_MALFORMED : ERR_OK);
        if (cases[i].seconds != 0)
            ck_assert_uint_eq(seconds, cases[i].seconds);
    }
}
END_TEST

START_TEST(valid_duration_option)
{
    struct fault fault = FAULT_NONE;
    uint64_t seconds = 5;
    CLEANUP(cli_args_free) struct cli_args args = {0};
    CLEANUP(cli_args_free) struct cli_args wrong = {0};
    ck_ok(PARSE(&args, NULL, "--at", "30m"));
    ck_ok(cli_args_duration(&args, "max-age", &seconds, NULL));
    ck_assert_uint_eq(seconds, 5); /* not given */
    ck_ok(cli_args_duration(&args, "at", &seconds, NULL));
    ck_assert_uint_eq(seconds, 1800);
    ck_ok(PARSE(&wrong, NULL, "--at", "30"));
    ck_err(cli_args_duration(&wrong, "at", &seconds, &fault), ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(fault.detail, "--at takes a duration"));
    ck_assert_uint_eq(seconds, 1800);
}
END_TEST

UNIT_MAIN("options", valid_options, valid_letter, wrong_letter, valid_nothing,
          valid_dash_and_double_dash, valid_strange_values, valid_help_whatever_else, wrong_option,
          long_option, no_value, wrong_repeated, valid_uint, wrong_uint, wrong_uint_below,
          valid_help_text, long_help_text, valid_durations, valid_duration_option)
