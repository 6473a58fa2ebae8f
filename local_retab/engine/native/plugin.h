/* What a backend of ggml and its callers agree on, as far as it is used here: ggml's backend interface, version 2, of
   the llama.cpp that the pinned llama-cpp-python carries. `local_retab_backend` checks that it meets the same. */

#ifndef LOCAL_RETAB_PLUGIN_H
#define LOCAL_RETAB_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PLUGIN_VERSION = 2, TENSOR_OVERHEAD = 368 };

enum tensor_type { TYPE_F32 = 0, TYPE_F16 = 1, TYPE_Q4_K = 12, TYPE_Q5_K = 13, TYPE_Q6_K = 14 };

enum operation {
    OP_NONE = 0,
    OP_ADD = 2,
    OP_MUL = 7,
    OP_RMS_NORM = 25,
    OP_MUL_MAT = 29,
    OP_RESHAPE = 36,
    OP_VIEW = 37,
    OP_PERMUTE = 38,
    OP_TRANSPOSE = 39,
    OP_FLASH_ATTN_EXT = 74,
    OP_GLU = 100,
};

enum { GLU_SWIGLU = 2, FLAG_COMPUTE = 16, DEVICE_ACCELERATOR = 3, STATUS_SUCCESS = 0, STATUS_ALLOC_FAILED = -2 };

struct tensor {
    int type;
    struct buffer *buffer;
    int64_t ne[4];
    size_t nb[4];
    int op;
    int32_t op_params[16];
    int32_t flags;
    struct tensor *src[10];
    struct tensor *view_src;
    size_t view_offs;
    void *data;
    char name[64];
    void *extra;
    char padding[8];
};

typedef struct device *device_t;
typedef struct backend *backend_t;
typedef struct registry *registry_t;
typedef struct buffer_type *buffer_type_t;
typedef struct buffer *buffer_t;
typedef void *graph_t;

struct capabilities {
    bool async, host_buffer, buffer_from_host_ptr, events, mmap_support;
};

struct properties {
    const char *name;
    const char *description;
    size_t memory_free;
    size_t memory_total;
    int type;
    const char *device_id;
    struct capabilities caps;
};

struct buffer_type {
    struct {
        const char *(*get_name)(buffer_type_t);
        buffer_t (*alloc_buffer)(buffer_type_t, size_t);
        size_t (*get_alignment)(buffer_type_t);
        void *unused_sizes[2]; /* the largest buffer, and the size of a tensor in one */
        bool (*is_host)(buffer_type_t);
    } interface;
    device_t device;
    void *context;
};

struct buffer {
    struct {
        void *free_buffer;
        void *get_base;
        void *init_tensor;
        void *memset_tensor;
        void (*set_tensor)(buffer_t, struct tensor *, const void *, size_t offset, size_t size);
        void *get_tensor;
        void *unused_2d[2];
        void *cpy_tensor;
        void *clear;
        void *reset;
    } interface;
    buffer_type_t type;
    void *context;
    size_t size;
    int usage;
};

struct backend {
    uint8_t (*guid)[16];
    struct {
        const char *(*get_name)(backend_t);
        void (*free)(backend_t);
        void *unused_data_access[5]; /* set, get, set_2d, get_2d and copy, asynchronous */
        void *synchronize;
        void *unused_plans[4];
        int (*graph_compute)(backend_t, graph_t);
        void *unused_events[2];
        void *graph_optimize;
    } interface;
    device_t device;
    void *context;
};

struct device {
    struct {
        const char *(*get_name)(device_t);
        const char *(*get_description)(device_t);
        void (*get_memory)(device_t, size_t *free, size_t *total);
        int (*get_type)(device_t);
        void (*get_props)(device_t, struct properties *);
        backend_t (*init_backend)(device_t, const char *);
        buffer_type_t (*get_buffer_type)(device_t);
        buffer_type_t (*get_host_buffer_type)(device_t);
        void *buffer_from_host_ptr;
        bool (*supports_op)(device_t, const struct tensor *);
        bool (*supports_buft)(device_t, buffer_type_t);
        void *offload_op;
        void *unused_events[3];
    } interface;
    registry_t registry;
    void *context;
};

struct registry {
    int api_version;
    struct {
        const char *(*get_name)(registry_t);
        size_t (*get_device_count)(registry_t);
        device_t (*get_device)(registry_t, size_t);
        void *(*get_proc_address)(registry_t, const char *);
    } interface;
    void *context;
};

/* ggml's functions that are called here, given by whoever has the library loaded. */
struct host {
    size_t (*tensor_overhead)(void);
    const char *(*op_name)(int);
    const char *(*type_name)(int);
    int (*graph_n_nodes)(graph_t);
    struct tensor *(*graph_node)(graph_t, int);
    buffer_type_t (*cpu_buffer_type)(void);
    bool (*is_host)(buffer_type_t);
    buffer_t (*alloc_buffer)(buffer_type_t, size_t);
    void *(*base)(buffer_t);
};

#endif
