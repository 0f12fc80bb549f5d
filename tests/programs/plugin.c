/* A plugin that multiplies: an extension module, loaded RTLD_LOCAL with a BLAS of its own. */
void sgemm_(const char *, const char *, const int *, const int *, const int *, const float *, const float *, const int *, const float *,
	    const int *, const float *, float *, const int *);
int naive_calls(void);

__attribute__((visibility("default"))) int plugin_multiply(const float *a, const float *b, float *c, int n);
__attribute__((visibility("default"))) int plugin_multiply(const float *a, const float *b, float *c, int n)
{
	const float one = 1, none = 0;
	sgemm_("N", "N", &n, &n, &n, &one, a, &n, b, &n, &none, c, &n);
	return naive_calls();
}
