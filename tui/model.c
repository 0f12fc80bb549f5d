/* The model's memory. */
#include "tui/model.h"

#include <stdlib.h>

void gns_model_free(struct gns_model *model)
{
	free(model->points);
	free(model->layers);
	free(model->kernels);
	free(model->runs);
	free(model->counters);
	free(model->events);
	*model = (struct gns_model){0};
}
