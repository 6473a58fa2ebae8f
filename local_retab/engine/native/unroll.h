/* For functions whose sizes are constants where they are called, and loops that are to be written out. */

#ifndef LOCAL_RETAB_UNROLL_H
#define LOCAL_RETAB_UNROLL_H

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

#endif
