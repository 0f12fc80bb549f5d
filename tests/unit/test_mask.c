/* What of a command line is stored. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "store/mask.h"

static const char *masked(const char *const *arguments)
{
	static char out[1024];
	char word[256];
	bool next = false;
	size_t n = 0;
	out[0] = 0;
	for (; *arguments; arguments++) {
		gns_mask_argument(word, sizeof word, *arguments, &next);
		n += (size_t)snprintf(out + n, sizeof out - n, "%s%s", n ? " " : "", word);
	}
	return out;
}

#define MASKED(...) masked((const char *const[]){ __VA_ARGS__, NULL })

Test(mask, values_of_private_options)
{
	cr_expect_str_eq(MASKED("train", "--api-key=abc", "--lr", "1"), "train --api-key=*** --lr 1");
	cr_expect_str_eq(MASKED("train", "--hf_token", "abc", "--lr", "1"), "train --hf_token *** --lr 1");
	cr_expect_str_eq(MASKED("--CLIENT_SECRET", "abc"), "--CLIENT_SECRET ***");
	cr_expect_str_eq(MASKED("env", "WANDB_API_KEY=abc", "python3"), "env WANDB_API_KEY=*** python3");
	cr_expect_str_eq(MASKED("--password="), "--password=***");
	cr_expect_str_eq(MASKED("--use-key", "--lr", "1"), "--use-key --lr 1", "an option without a value");
	cr_expect_str_eq(MASKED("--token", "-"), "--token -");
}

Test(mask, users_of_urls)
{
	cr_expect_str_eq(MASKED("https://me:pw@host/a@b"), "https://***@host/a@b");
	cr_expect_str_eq(MASKED("--data=s3://id:key@bucket", "x"), "--data=s3://***@bucket x");
	cr_expect_str_eq(MASKED("a://b@c,d://e:f@g"), "a://***@c,d://***@g");
	cr_expect_str_eq(MASKED("http://host/?q=a@b"), "http://host/?q=a@b");
}

Test(mask, all_else_stays_and_nothing_is_written_behind_the_end)
{
	char small[8];
	bool next = false;
	cr_expect_str_eq(MASKED("python3", "-c", "print(1)", "lr=1", ""), "python3 -c print(1) lr=1 ");
	cr_expect_str_eq(MASKED("x = tokens('a=b')"), "x = tokens('a=b')");
	gns_mask_argument(small, sizeof small, "http://a:b@cdefghijk", &next);
	cr_expect_lt(strlen(small), sizeof small);
}
