/* The model's memory. */
#include "tui/model.h"

#include <stdlib.h>

void gns_model_free(struct gns_model *model)
{
	free(model->points);
	free(model->layers);
	free(model->kernels);
	gns_gpu_free(&model->gpu);
	free(model->runs);
	free(model->counters);
	free(model->events);
	free(model->history.s);
	for (size_t i = 0; i < model->n_overlay; i++)
		free(model->overlay[i].points);
	*model = (struct gns_model){0};
}
