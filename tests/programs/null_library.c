/* The foreign library of the template collector. */
double null_compute(double x);

__attribute__((visibility("default"))) double null_compute(double x)
{
	return 2 * x + 1;
}
