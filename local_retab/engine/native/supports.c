/* Which operations the backend takes. */

#include "backend.h"

#include <string.h>

enum { FEW_COLUMNS = 32 };

_Thread_local bool taking;

int weight_type(const struct tensor *weights) {
    switch (weights->type) {
    case TYPE_Q4_K:
        return WEIGHT_Q4_K;
    case TYPE_Q5_K:
        return WEIGHT_Q5_K;
    case TYPE_Q6_K:
        return WEIGHT_Q6_K;
    default:
        return WEIGHT_TYPES;
    }
}

static bool is_table(const struct tensor *tensor) {
    return tensor->type == TYPE_F32 && tensor->nb[0] == sizeof(float) && tensor->ne[2] == 1 && tensor->ne[3] == 1;
}

static bool is_few_columns(const struct tensor *tensor) { return is_table(tensor) && tensor->ne[1] <= FEW_COLUMNS; }

bool is_suitable(const struct tensor *weights) {
    return weight_type(weights) < WEIGHT_TYPES && weights->ne[0] % BLOCK == 0 && weights->ne[1] % ROWS == 0 &&
           weights->ne[2] == 1 && weights->ne[3] == 1 && !weights->view_src;
}

bool is_interleaved(const struct tensor *weights) {
    return weights->buffer && weights->buffer->type == &weights_type && is_suitable(weights);
}

/* Whether `other` is of the same shape or one column for all. */
static bool spreads(const struct tensor *other, const struct tensor *result) {
    return is_table(other) && other->ne[0] == result->ne[0] && (other->ne[1] == 1 || other->ne[1] == result->ne[1]);
}

static bool is_plain_attention(const struct tensor *result) {
    const struct tensor *queries = result->src[0], *keys = result->src[1], *values = result->src[2],
                        *mask = result->src[3];
    float parameters[3]; /* scale, bias by distance, cap of scores */
    memcpy(parameters, result->op_params, sizeof parameters);
    return queries->type == TYPE_F32 && keys->type == TYPE_F16 && values->type == TYPE_F16 && !result->src[4] &&
           parameters[1] == 0 && parameters[2] == 0 && (queries->ne[0] == 64 || queries->ne[0] == 128) &&
           values->ne[0] == queries->ne[0] && queries->ne[3] == 1 && keys->ne[1] % GRAIN == 0 &&
           queries->ne[2] % keys->ne[2] == 0 && queries->nb[0] == 4 && keys->nb[0] == 2 && values->nb[0] == 2 &&
           (!mask || (mask->type == TYPE_F16 && mask->ne[2] == 1 && mask->ne[3] == 1 && mask->nb[0] == 2));
}

bool supports(device_t device, const struct tensor *result) {
    (void)device;
    const struct tensor *first = result->src[0], *second = result->src[1];
    switch (result->op) {
    case OP_NONE:
    case OP_RESHAPE:
    case OP_VIEW:
    case OP_PERMUTE:
    case OP_TRANSPOSE:
        return taking;
    case OP_ADD:
    case OP_MUL:
        return taking && is_few_columns(result) && spreads(first, result) && first->ne[1] == result->ne[1] &&
               spreads(second, result);
    case OP_RMS_NORM:
        return taking && is_few_columns(result) && spreads(first, result);
    case OP_GLU:
        return taking && result->op_params[0] == GLU_SWIGLU && second && is_few_columns(result) &&
               spreads(first, result) && spreads(second, result) && second->ne[1] == result->ne[1] &&
               first->ne[1] == result->ne[1];
    case OP_FLASH_ATTN_EXT:
        return taking && is_plain_attention(result);
    case OP_MUL_MAT:
        return result->op_params[1] == 0 && is_interleaved(first) && is_table(second) && is_table(result);
    default:
        return false;
    }
}
