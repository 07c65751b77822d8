/* Forces of a separable equivariant network of an odd scalar on the square lattice, strip by strip (networks/native.py).

   Compiled for one network's sizes: COPIES of the regular representation of each parity, DEPTH blocks, FIRST, the reach of the first
   stencils, WIDE further ones of reach FAR. Rows stream through all blocks, so that what a strip needs stays in the cache: level l
   computes row t - l at step t from three rows of the level before. Channels are mixed in irreps of D4, where the regular
   representation's matrices are block-diagonal: 12 products for each pair of copies in place of 64.

   Elements of D4 come in the order diag(++), diag(--), diag(+-), diag(-+), then the same signs on the other diagonal. */

#include <string.h>

/* Floats in a vector, as many as a register holds, and pairs of vectors in a row; measured: best of 1 to 8 pairs. Twice as many lanes
   as a register has took twelve times as long. */
#ifdef __AVX512F__
#define LANES 16
#define BLOCKS 3
#else
#define LANES 8
#define BLOCKS 5
#endif
#define REACH (FAR > FIRST ? FAR : FIRST) /* of the first layer */
#define HALO (REACH + DEPTH)
#define ROW (2 * LANES * BLOCKS)
#define MARGIN LANES /* stencils reach over the edges of a row; what they find there never reaches a valid site */
#define STRIDE (ROW + 2 * MARGIN)
#define CHANNELS (16 * COPIES)
#define SIDE (2 * FIRST + 1)

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int ivec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef struct { vec a, b; } pair; /* two vectors in flight hide the latency of multiply-adds */

static inline pair load(const float *x) { return (pair){*(const vec *)x, *(const vec *)(x + LANES)}; }
static inline void store(float *x, pair v) { *(vec *)x = v.a, *(vec *)(x + LANES) = v.b; }
static inline pair add(pair x, pair y) { return (pair){x.a + y.a, x.b + y.b}; }
static inline pair sub(pair x, pair y) { return (pair){x.a - y.a, x.b - y.b}; }
static inline pair fma1(float w, pair x, pair y) { return (pair){w * x.a + y.a, w * x.b + y.b}; }
static inline pair all(float w) { vec v = w - (vec){0}; return (pair){v, v}; }

/* exp(-x), at most 2^60; as 2^k 2^f with |f| <= 1/2, a minimax polynomial: relative error 2.3e-7 */
static inline vec decay(vec x) {
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

/* With silu(x) = x / (1 + exp(-x)): odd -> silu(even + odd) - silu(even - odd), even -> their sum; one division for both. */
static inline void activate1(vec odd, vec even, vec *new_odd, vec *new_even) {
    vec u = even + odd, v = even - odd, p = 1.0f + decay(u), q = 1.0f + decay(v), r = 1.0f / (p * q);
    vec plus = u * q * r, minus = v * p * r;
    *new_odd = plus - minus, *new_even = plus + minus;
}
static inline void activate(pair odd, pair even, pair *new_odd, pair *new_even) {
    activate1(odd.a, even.a, &new_odd->a, &new_even->a);
    activate1(odd.b, even.b, &new_odd->b, &new_even->b);
}

/* Eight group components to irreps: four one-dimensional, then D11, D22, D12, D21; not normalised. */
static inline void forward(const pair *f, pair *g) {
    pair s1 = add(f[0], f[1]), d1 = sub(f[0], f[1]), s2 = add(f[2], f[3]), d2 = sub(f[2], f[3]);
    pair t1 = add(f[4], f[5]), e1 = sub(f[4], f[5]), t2 = add(f[6], f[7]), e2 = sub(f[6], f[7]);
    pair a = add(s1, s2), b = add(t1, t2), c = sub(s1, s2), d = sub(t1, t2);
    g[0] = add(a, b), g[1] = sub(a, b), g[2] = add(c, d), g[3] = sub(c, d);
    g[4] = add(d1, d2), g[5] = sub(d1, d2), g[6] = add(e1, e2), g[7] = sub(e1, e2);
}

/* The transpose of forward. */
static inline void backward(const pair *g, pair *f) {
    pair a = add(g[0], g[1]), b = sub(g[0], g[1]), c = add(g[2], g[3]), d = sub(g[2], g[3]);
    pair s1 = add(a, c), s2 = sub(a, c), t1 = add(b, d), t2 = sub(b, d);
    pair d1 = add(g[4], g[5]), d2 = sub(g[4], g[5]), e1 = add(g[6], g[7]), e2 = sub(g[6], g[7]);
    f[0] = add(s1, d1), f[1] = sub(s1, d1), f[2] = add(s2, d2), f[3] = sub(s2, d2);
    f[4] = add(t1, e1), f[5] = sub(t1, e1), f[6] = add(t2, e2), f[7] = sub(t2, e2);
}

typedef struct {
    float stencils[2][COPIES][8][9];    /* odd, even */
    float scalars[2][4][COPIES][COPIES]; /* the four one-dimensional irreps */
    float vectors[2][2][2 * COPIES][2 * COPIES]; /* (D11, D12) and (D22, D21): the rows of E, which do not mix */
    float bias[COPIES];                 /* of even features */
} block_weights;

typedef struct {
    float first[COPIES][SIDE * SIDE][8];
    float bias[COPIES];
    block_weights blocks[DEPTH];
    float readout[COPIES][8];
    float far[WIDE][(FAR + 1) * (FAR + 1)]; /* a quarter of each symmetric stencil */
    float spread[COPIES][WIDE];
} weights;

typedef float row[CHANNELS][STRIDE];
typedef struct { row feature[2], active[3]; } level; /* rings of rows */

static const int PARTNER[2][2] = {{4, 6}, {5, 7}};

/* One row through the far stencils; rows and columns that share a weight are added first. */
static void see(const float *fields, long stride, const weights *w, float (*seen)[ROW]) {
    float line[ROW + 2 * FAR];
    memset(seen, 0, WIDE * sizeof *seen);
    for (int dy = 0; dy <= FAR; dy++) {
        const float *up = fields + (REACH - dy) * stride + REACH - FAR, *down = fields + (REACH + dy) * stride + REACH - FAR;
        for (int x = 0; x < ROW + 2 * FAR; x++) line[x] = dy ? up[x] + down[x] : up[x];
        for (int x = 0; x < ROW; x += 2 * LANES) {
            pair sum[WIDE + 1]; /* WIDE may be 0 */
            for (int n = 0; n < WIDE; n++) sum[n] = load(seen[n] + x);
            for (int dx = 0; dx <= FAR; dx++) {
                pair q = load(line + x + FAR + dx);
                if (dx) q = add(q, load(line + x + FAR - dx));
                for (int n = 0; n < WIDE; n++) sum[n] = fma1(w->far[n][dy * (FAR + 1) + dx], q, sum[n]);
            }
            for (int n = 0; n < WIDE; n++) store(seen[n] + x, sum[n]);
        }
    }
}

static void embed(const float *fields, long stride, const weights *w, float (*feature)[STRIDE], float (*active)[STRIDE]) {
    float seen[WIDE + 1][ROW];
    if (WIDE) see(fields, stride, w, seen);
    fields += (REACH - FIRST) * (stride + 1);
    for (int c = 0; c < COPIES; c++)
        for (int x = 0; x < ROW; x += 2 * LANES) {
            pair sum[8], far = all(0.0f);
            for (int n = 0; n < WIDE; n++) far = fma1(w->spread[c][n], load(seen[n] + x), far);
            for (int h = 0; h < 8; h++) sum[h] = far;
            for (int dy = 0; dy < SIDE; dy++)
                for (int dx = 0; dx < SIDE; dx++) {
                    pair q = load(fields + dy * stride + x + dx);
                    for (int h = 0; h < 8; h++) sum[h] = fma1(w->first[c][dy * SIDE + dx][h], q, sum[h]);
                }
            for (int h = 0; h < 8; h++) {
                int odd = 8 * c + h, even = odd + 8 * COPIES;
                pair constant = all(w->bias[c]), new_odd, new_even;
                store(feature[odd] + MARGIN + x, sum[h]);
                store(feature[even] + MARGIN + x, constant);
                activate(sum[h], constant, &new_odd, &new_even);
                store(active[odd] + MARGIN + x, new_odd);
                store(active[even] + MARGIN + x, new_even);
            }
        }
}

/* One row of one block: from three rows of activated features and one of features to a row of each. */
static inline void apply(const block_weights *w, float (*up)[STRIDE], float (*middle)[STRIDE], float (*down)[STRIDE],
                         float (*old)[STRIDE], float (*feature)[STRIDE], float (*active)[STRIDE], const float (*readout)[8],
                         float *forces) {
    for (int x = MARGIN; x < MARGIN + ROW; x += 2 * LANES) {
        pair mixed[2][8][COPIES], result = all(0.0f);
        for (int parity = 0; parity < 2; parity++) {
            pair irreps[8][COPIES];
            for (int c = 0; c < COPIES; c++) {
                pair f[8], g[8];
                for (int h = 0; h < 8; h++) {
                    int channel = 8 * (COPIES * parity + c) + h;
                    const float *k = w->stencils[parity][c][h];
                    const float *rows[3] = {up[channel] + x, middle[channel] + x, down[channel] + x};
                    pair one = all(0.0f), two = all(0.0f), three = all(0.0f);
                    for (int dy = 0; dy < 3; dy++) {
                        one = fma1(k[3 * dy], load(rows[dy] - 1), one);
                        two = fma1(k[3 * dy + 1], load(rows[dy]), two);
                        three = fma1(k[3 * dy + 2], load(rows[dy] + 1), three);
                    }
                    f[h] = add(add(one, two), three);
                }
                forward(f, g);
                for (int i = 0; i < 8; i++) irreps[i][c] = g[i];
            }
            for (int i = 0; i < 4; i++)
                for (int o = 0; o < COPIES; o++) {
                    pair sum = all(0.0f);
                    for (int c = 0; c < COPIES; c++) sum = fma1(w->scalars[parity][i][o][c], irreps[i][c], sum);
                    mixed[parity][i][o] = sum;
                }
            for (int e = 0; e < 2; e++)
                for (int o = 0; o < 2 * COPIES; o++) {
                    pair sum = all(0.0f);
                    for (int c = 0; c < 2 * COPIES; c++)
                        sum = fma1(w->vectors[parity][e][o][c], irreps[PARTNER[e][c / COPIES]][c % COPIES], sum);
                    mixed[parity][PARTNER[e][o / COPIES]][o % COPIES] = sum;
                }
        }
        for (int c = 0; c < COPIES; c++) {
            pair update[2][8];
            for (int parity = 0; parity < 2; parity++) {
                pair g[8];
                for (int i = 0; i < 8; i++) g[i] = mixed[parity][i][c];
                backward(g, update[parity]);
            }
            for (int h = 0; h < 8; h++) {
                int odd = 8 * c + h, even = odd + 8 * COPIES;
                pair new_odd, new_even, o = add(load(old[odd] + x), update[0][h]);
                pair e = add(add(load(old[even] + x), update[1][h]), all(w->bias[c]));
                activate(o, e, &new_odd, &new_even);
                if (readout) {
                    result = fma1(readout[c][h], new_odd, result);
                } else {
                    store(feature[odd] + x, o), store(feature[even] + x, e);
                    store(active[odd] + x, new_odd), store(active[even] + x, new_even);
                }
            }
        }
        if (readout) store(forces + x - MARGIN, result);
    }
}

#define COLUMNS (ROW - 2 * DEPTH)
#define INPUT (ROW + 2 * REACH)

typedef struct {
    level levels[DEPTH];
    float fields[(ROWS + 2 * HALO) * INPUT], forces[ROWS * COLUMNS];
} workspace;

long workspace_size(void) { return sizeof(workspace); }
long columns(void) { return COLUMNS; }

/* Forces on rows x at most COLUMNS sites; fields begins HALO sites up and left of the first, and has INPUT columns that can be
   read. space holds workspace_size() bytes, zeroed once. */
void forces(const float *fields, long stride, long rows, long width, float *out, long out_stride, const weights *w, workspace *space) {
    level *work = space->levels;
    float line[ROW];
    for (long t = 0; t < rows + 2 * DEPTH; t++) {
        embed(fields + t * stride, stride, w, work[0].feature[t % 2], work[0].active[t % 3]);
        for (int l = 1; l <= DEPTH && t - l >= l; l++) {
            long y = t - l; /* in rows of the level below; the first l of them lack a neighbour */
            level *from = work + l - 1, *to = work + l;
            float(*up)[STRIDE] = from->active[(y - 1) % 3], (*middle)[STRIDE] = from->active[y % 3];
            float(*down)[STRIDE] = from->active[(y + 1) % 3], (*old)[STRIDE] = from->feature[y % 2];
            if (l < DEPTH) {
                apply(&w->blocks[l - 1], up, middle, down, old, to->feature[y % 2], to->active[y % 3], 0, 0);
            } else {
                apply(&w->blocks[l - 1], up, middle, down, old, 0, 0, w->readout, line);
                memcpy(out + (y - DEPTH) * out_stride, line + DEPTH, width * sizeof(float));
            }
        }
    }
}

/* Forces of up to COLUMNS x ROWS sites of (batch, height, width) fields on tori. The replicas' rows lie behind each other in one long
   row, each with a halo of the torus' other side: a strip may end one small lattice and begin the next. It starts at column start of
   the long row, in which replica n holds sites n (width + 2 HALO) to n (width + 2 HALO) + width - 1. */
void torus(const double *fields, long batch, long height, long width, long start, long y, long rows, double *out, const weights *w,
           workspace *space) {
    const long pitch = width + 2 * HALO, sites = height * width;
    long source[INPUT];
    for (long c = 0; c < INPUT; c++) {
        long position = start - HALO + c, n = (position + HALO) / pitch;
        n = n < batch ? n : batch - 1;
        source[c] = n * sites + ((position - n * pitch) % width + width) % width;
    }
    for (long r = 0; r < rows + 2 * HALO; r++) {
        const double *from = fields + (((y - HALO + r) % height + height) % height) * width;
        for (long c = 0; c < INPUT; c++) space->fields[r * INPUT + c] = (float)from[source[c]];
    }
    forces(space->fields, INPUT, rows, COLUMNS, space->forces, COLUMNS, w, space);
    for (long c = 0; c < COLUMNS; c++) {
        long n = (start + c) / pitch, x = (start + c) % pitch;
        if (n < batch && x < width)
            for (long r = 0; r < rows; r++) out[n * sites + (y + r) * width + x] = space->forces[r * COLUMNS + c];
    }
}
