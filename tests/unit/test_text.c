/* Text made harmless, numbers made readable: to the letter. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "gnscope/text.h"

static void safe(const char *src, const char *want)
{
	char out[256];
	cr_assert_eq(gns_text_safe(out, sizeof out, src), out);
	cr_assert_str_eq(out, want);
}

Test(safe, plain_text_is_kept)
{
	safe("", "");
	safe("train.py --lr 3e-4 ~", "train.py --lr 3e-4 ~");
	safe("Zürich 東京 \xf0\x9f\x94\xa5", "Zürich 東京 \xf0\x9f\x94\xa5");
	safe("\xc2\xa0 \xef\xbf\xbd \xf4\x8f\xbf\xbf", "\xc2\xa0 \xef\xbf\xbd \xf4\x8f\xbf\xbf"); /* U+A0, U+FFFD, U+10FFFF */
	safe(NULL, "");
}

Test(safe, controls)
{
	safe("a\x1b[2Jb", "a?[2Jb");
	safe("\t\n\r\x7f\x01", "?????");
	safe("a\xc2\x9b" "31mb", "a?31mb");      /* U+9B, the one-character CSI */
	safe("\xc2\x80\xc2\x9f", "??");
	safe("a\x9b" "b", "a?b");                /* the same as a bare byte */
	safe("\xe2\x80\xa8\xe2\x80\xa9", "??");  /* line and paragraph separator */
}

Test(safe, bidirectional)
{
	safe("a\xe2\x80\xae" "b\xe2\x80\xac" "c", "a?b?c"); /* U+202E, U+202C */
	safe("\xe2\x80\xaa\xe2\x80\xab\xe2\x80\xad", "???");
	safe("\xe2\x81\xa6\xe2\x81\xa7\xe2\x81\xa8\xe2\x81\xa9", "????"); /* U+2066..2069 */
	safe("\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c", "???");    /* U+200E, U+200F, U+061C */
	safe("\xe2\x80\x8d", "\xe2\x80\x8d");               /* joiner: harmless */
}

Test(safe, invalid_sequences)
{
	safe("\xc0\xaf", "??");             /* overlong */
	safe("\xe0\x80\xaf", "???");
	safe("\xf0\x80\x80\x9b", "????");
	safe("\xed\xa0\x80", "???");        /* surrogate */
	safe("\xf4\x90\x80\x80", "????");   /* beyond U+10FFFF */
	safe("\xff\xfe", "??");
	safe("\xc3", "?");                  /* cut off at the end */
	safe("\xe2\x82", "??");
	safe("\xc3(", "?(");                /* the byte after it is kept */
	safe("\xe2\x82\x1b[m", "???[m");    /* an escape cannot hide in a broken sequence */
}

/* Every code point by itself, against a list of what must go. */
Test(safe, every_code_point)
{
	for (unsigned c = 1; c <= 0x10ffff; c++) {
		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		char in[8] = "", out[8];
		if (c < 0x80) {
			in[0] = (char)c;
		} else if (c < 0x800) {
			in[0] = (char)(0xc0 | c >> 6);
			in[1] = (char)(0x80 | (c & 63));
		} else if (c < 0x10000) {
			in[0] = (char)(0xe0 | c >> 12);
			in[1] = (char)(0x80 | (c >> 6 & 63));
			in[2] = (char)(0x80 | (c & 63));
		} else {
			in[0] = (char)(0xf0 | c >> 18);
			in[1] = (char)(0x80 | (c >> 12 & 63));
			in[2] = (char)(0x80 | (c >> 6 & 63));
			in[3] = (char)(0x80 | (c & 63));
		}
		bool bad = c < 32 || c == 127 || (c >= 128 && c < 160) || c == 0x61c || c == 0x200e || c == 0x200f ||
			   c == 0x2028 || c == 0x2029 || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
		gns_text_safe(out, sizeof out, in);
		cr_assert(strcmp(out, bad ? "?" : in) == 0, "U+%04X", c);
	}
}

Test(safe, cut_between_characters)
{
	char out[8];
	memset(out, 'x', sizeof out);
	cr_assert_str_eq(gns_text_safe(out, 4, "abcdef"), "abc");
	cr_assert_str_eq(gns_text_safe(out, 4, "ab\xc3\xbc"), "ab");
	cr_assert_str_eq(gns_text_safe(out, 5, "ab\xc3\xbc"), "ab\xc3\xbc");
	cr_assert_str_eq(gns_text_safe(out, 1, "abc"), "");
	cr_assert_eq(out[7], 'x');
	memset(out, 'x', sizeof out);
	gns_text_safe(out, 0, "abc");
	cr_assert_eq(out[0], 'x');
}

static void number(double value, const char *want)
{
	char out[64];
	cr_assert_str_eq(gns_text_number(out, sizeof out, value), want, "%.17g gave %s, want %s", value, out, want);
}

Test(number, words)
{
	number(1840, "1,840");
	number(0.0123, "0.0123");
	number(NAN, "-");
	number(-NAN, "-");
	number(INFINITY, "inf");
	number(-INFINITY, "-inf");
	number(0, "0");
	number(-0.0, "0");
	number(1, "1");
	number(256, "256");
	number(12.345, "12.3");
	number(0.5, "0.5");
	number(999.4, "999");
	number(999.5, "1,000");
	number(999.96, "1,000");
	number(1234.5678, "1,235");
	number(-1840, "-1,840");
	number(-0.25, "-0.25");
	number(123456, "123,456");
	number(1234567, "1,234,567");
	number(9999999, "9,999,999");
	number(9999999.6, "10.0M");
	number(12345678, "12.3M");
	number(99960000, "100M");
	number(123456789, "123M");
	number(999600000, "1.00G");
	number(2e8, "200M");
	number(1.5e9, "1.50G");
	number(-7.37e12, "-7.37T");
	number(9.996e14, "1.00e+15");
	number(1e300, "1.00e+300");
	number(1.5e-7, "1.5e-07");
}

static void ratio(double value, double lo, double hi, bool resolved, const char *unit, const char *want, const char *named)
{
	struct gns_ratio r = {value, lo, hi, resolved, 100};
	char out[128];
	cr_assert_str_eq(gns_text_ratio(out, sizeof out, &r, unit), want, "%s", out);
	cr_assert_str_eq(gns_text_named_ratio(out, sizeof out, "B_noise", &r, unit), named, "%s", out);
}

Test(ratio, words)
{
	ratio(1840, 1610, 2120, true, "samples", "1,840 samples (95% CI 1,610 to 2,120)", "B_noise 1,840 samples (95% CI 1,610 to 2,120)");
	ratio(NAN, 900, NAN, false, "samples", "unresolved: >= 900 samples", "unresolved: B_noise >= 900 samples");
	ratio(NAN, NAN, NAN, false, "samples", "unresolved", "unresolved");
	ratio(NAN, -3, NAN, false, "samples", "unresolved", "unresolved");
	ratio(4.3, -6.4, 12.9, true, "samples", "4.3 samples (95% CI below 12.9)", "B_noise 4.3 samples (95% CI below 12.9)");
	ratio(4.3, 0, 12.9, true, "rows", "4.3 rows (95% CI below 12.9)", "B_noise 4.3 rows (95% CI below 12.9)");
	ratio(-2, -6.4, 12.9, true, "samples", "below 12.9 samples (95% CI)", "B_noise below 12.9 samples (95% CI)");
	ratio(1840, 1610, 2120, true, NULL, "1,840 (95% CI 1,610 to 2,120)", "B_noise 1,840 (95% CI 1,610 to 2,120)");
	ratio(NAN, 900, NAN, false, "", "unresolved: >= 900", "unresolved: B_noise >= 900");
}

Test(ratio, short_buffers)
{
	static const char whole[] = "B_noise 1,840 samples (95% CI 1,610 to 2,120)";
	struct gns_ratio r = {1840, 1610, 2120, true, 1};
	char out[64];
	memset(out, 'x', sizeof out);
	gns_text_ratio(out, 0, &r, "samples");
	gns_text_named_ratio(out, 0, "B_noise", &r, "samples");
	gns_text_number(out, 0, 5);
	cr_assert_eq(out[0], 'x');
	for (size_t size = 1; size < sizeof whole; size++) {
		memset(out, 'x', sizeof out);
		gns_text_named_ratio(out, size, "B_noise", &r, "samples");
		cr_assert_eq(strlen(out), size - 1);
		cr_assert(strncmp(whole, out, size - 1) == 0 && out[size] == 'x');
	}
}

Test(duration, words)
{
	static const struct { double seconds; const char *want; } all[] = {
		{0, "0 s"}, {59.9, "59 s"}, {60, "1 min 0 s"}, {3599, "59 min 59 s"}, {3600, "1 h 00 min"}, {86399, "23 h 59 min"},
		{86400, "1 d 0 h"}, {355000, "4 d 2 h"}, {-1, "-"}, {NAN, "-"}, {INFINITY, "-"},
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		char out[64];
		cr_expect_str_eq(gns_text_duration(out, sizeof out, all[i].seconds), all[i].want, "%s", out);
	}
}

static void written(int (*json)(FILE *, const char *), const char *text, const char *want)
{
	char *got = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&got, &size);
	if (json)
		json(out, text);
	else
		gns_text_csv(out, text);
	fclose(out);
	cr_expect_str_eq(got, want, "%s: got %s, want %s", text, got, want);
	free(got);
}

Test(formats, json_keeps_values_and_escapes_what_harms_a_terminal)
{
	written(gns_text_json, "{\n\t\"Zürich\": \"\\u001b\"}", "{\n\t\"Zürich\": \"\\u001b\"}");
	written(gns_text_json, "\"\x7f \xc2\x80 \xc2\x9b \xe2\x80\xae \xe2\x81\xa6 \xe2\x80\xa8\"", "\"\\u007f \\u0080 \\u009b \\u202e \\u2066 \\u2028\"");
	written(gns_text_json, "\"\xff\"", "\"\\ufffd\"");
}

Test(formats, csv_cells)
{
	static const char *const cells[][2] = {
		{"", ""}, {"plain", "plain"}, {"a,b", "\"a,b\""}, {"say \"x\"", "\"say \"\"x\"\"\""}, {"two\nlines", "\"two\nlines\""},
		{"=1+1", "\"'=1+1\""}, {"+cmd|' /C calc'!A0", "\"'+cmd|' /C calc'!A0\""}, {"@SUM(A1)", "\"'@SUM(A1)\""},
		{"-2+3", "\"'-2+3\""}, {"\t=1", "\"'\t=1\""}, {"\r=1", "\"'\r=1\""}, {"=\"a\"", "\"'=\"\"a\"\"\""}, {"-", "\"'-\""},
		{"-5", "-5"}, {"+0.5", "+0.5"}, {"-1.5e-300", "-1.5e-300"}, {"-inf", "\"'-inf\""}, {"-0x10", "\"'-0x10\""},
		{"a\x1b[2J\x7f\xc2\x9b\xe2\x80\xae\xff z", "a?[2J???? z"}, {"Zürich", "Zürich"}, {"a=b", "a=b"},
	};
	for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
		written(NULL, cells[i][0], cells[i][1]);
}
