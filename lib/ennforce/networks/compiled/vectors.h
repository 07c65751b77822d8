/* Vectors as wide as a register, in pairs: two in flight hide the latency of multiply-adds. */

#include <stdlib.h>
#include <string.h>

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
#define PAIR (2 * LANES)
/* Sheets around, the stride from channel to channel and from line to line, and the position of a pair of sites. */
#define WHERE const float *const *rows, long stride, long pitch, long x
#define EACH(n, count) for (int n = 0; n < (count); n++)
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int ivec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef struct { vec a, b; } pair;

INLINE pair load(const float *x) { return (pair){*(const vec *)x, *(const vec *)(x + LANES)}; }
INLINE void store(float *x, pair v) { *(vec *)x = v.a, *(vec *)(x + LANES) = v.b; }
INLINE pair add(pair x, pair y) { return (pair){x.a + y.a, x.b + y.b}; }
INLINE pair sub(pair x, pair y) { return (pair){x.a - y.a, x.b - y.b}; }
INLINE pair mul(pair x, pair y) { return (pair){x.a * y.a, x.b * y.b}; }
INLINE pair scale(float w, pair x) { return (pair){w * x.a, w * x.b}; }
INLINE pair fma1(float w, pair x, pair y) { return (pair){w * x.a + y.a, w * x.b + y.b}; }
INLINE vec total(pair x) { return x.a + x.b; } /* lane by lane */
INLINE pair all(float w) { vec v = w - (vec){0}; return (pair){v, v}; }

/* exp(-x), at most 2^60; as 2^k 2^f with |f| <= 1/2, a minimax polynomial: relative error 2.3e-7 */
INLINE vec decay(vec x) {
    vec t = x * -1.44269504f, most = 60.0f - (vec){0};
    ivec above = t > most;
    t = (vec)((above & (ivec)most) | (~above & (ivec)t));
    ivec k = __builtin_convertvector(t + 127.5f, ivec); /* rounded, plus the 127 of a float's exponent */
    vec f = t - __builtin_convertvector(k - 127, vec);
    vec p = 1.32764701e-3f * f + 9.67554096e-3f;
    p = p * f + 5.55071309e-2f;
    p = p * f + 2.40221202e-1f;
    p = p * f + 6.93146944e-1f;
    p = p * f + 1.00000012f;
    return p * (vec)((k & ~(k >> 31)) << 23); /* zero where 2^k would be smaller than any number */
}

/* 1 / (1 + exp(-x)) of two numbers with one division. */
INLINE void sigmoids(pair x, pair y, pair *sx, pair *sy) {
    vec p = 1.0f + decay(x.a), q = 1.0f + decay(y.a), r = 1.0f / (p * q);
    sx->a = q * r, sy->a = p * r;
    p = 1.0f + decay(x.b), q = 1.0f + decay(y.b), r = 1.0f / (p * q);
    sx->b = q * r, sy->b = p * r;
}

INLINE pair rsqrt(pair x) {
    pair y;
    for (int n = 0; n < LANES; n++) y.a[n] = 1.0f / __builtin_sqrtf(x.a[n]), y.b[n] = 1.0f / __builtin_sqrtf(x.b[n]);
    return y;
}

/* out = w in, w of rows x columns. */
INLINE void multiply(const float *w, const pair *in, pair *out, int rows, int columns) {
    int i = 0;
    for (; i + 3 < rows; i += 4) {
        pair s[4] = {all(0.0f), all(0.0f), all(0.0f), all(0.0f)};
        for (int j = 0; j < columns; j++)
            for (int k = 0; k < 4; k++) s[k] = fma1(w[(i + k) * columns + j], in[j], s[k]);
        for (int k = 0; k < 4; k++) out[i + k] = s[k];
    }
    for (; i + 1 < rows; i += 2) {
        pair s = all(0.0f), t = all(0.0f);
        for (int j = 0; j < columns; j++) s = fma1(w[i * columns + j], in[j], s), t = fma1(w[(i + 1) * columns + j], in[j], t);
        out[i] = s, out[i + 1] = t;
    }
    for (; i < rows; i++) {
        pair s = all(0.0f);
        for (int j = 0; j < columns; j++) s = fma1(w[i * columns + j], in[j], s);
        out[i] = s;
    }
}

/* The transpose. */
INLINE void multiply_back(const float *w, const pair *in, pair *out, int rows, int columns) {
    int j = 0;
    for (; j + 1 < columns; j += 2) {
        pair s = all(0.0f), t = all(0.0f);
        for (int i = 0; i < rows; i++) s = fma1(w[i * columns + j], in[i], s), t = fma1(w[i * columns + j + 1], in[i], t);
        out[j] = s, out[j + 1] = t;
    }
    for (; j < columns; j++) {
        pair s = all(0.0f);
        for (int i = 0; i < rows; i++) s = fma1(w[i * columns + j], in[i], s);
        out[j] = s;
    }
}

/* gradient += left x right, summed over the sites of the pairs, lane by lane. */
INLINE void outer(vec *gradient, const pair *left, const pair *right, int rows, int columns) {
    EACH(i, rows) EACH(j, columns) gradient[i * columns + j] += left[i].a * right[j].a + left[i].b * right[j].b;
}
