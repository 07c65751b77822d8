/* Forces of one trained network in plain C99, for any torus: ${NAME}.h says how to call them.

   The lattice is cut into tiles. The fields of a tile and of REACH sites around it are copied from the torus; each layer then works on
   a region that shrinks by its radius, until the tile itself is left. So memory does not grow with the lattice.
   Rows along x are contiguous, and every inner loop runs over one of them. Axes that the lattice does not have are of length one. */
#include <math.h>
#include <stdlib.h>

#include "${NAME}.h"

${SIZES}

typedef struct {
    int inputs, outputs, groups, radius;
    const float *weights, *bias; /* (outputs, inputs / groups, side, ..., side) and (outputs,), or no bias */
} layer;

${WEIGHTS}

typedef struct {
    float *values; /* (channel, z, y, x), each axis of the lattice longer than the tile by halo at both ends */
    int channels, halo;
} array;

typedef struct {
    int lengths[3], tile[3]; /* of the torus, and of the largest tile */
    array fields, seen, features, active, filtered, forces;
} workspace;

#define USED(axis) ((axis) >= 3 - DIMENSION)

const char *${NAME}_problem = "";

/* The values of a channel from site (z, y, x) of the tile on. */
static float *at(const workspace *w, const array *a, int channel, int z, int y, int x) {
    const size_t depth = w->tile[0] + (USED(0) ? 2 * a->halo : 0), height = w->tile[1] + (USED(1) ? 2 * a->halo : 0);
    const size_t width = w->tile[2] + 2 * a->halo;
    z += USED(0) ? a->halo : 0, y += USED(1) ? a->halo : 0, x += a->halo;
    return a->values + ((channel * depth + z) * height + y) * width + x;
}

/* Four terms at once, for one sum or for two: sums are loaded and stored a quarter as often, terms half as often. */
static void add_four(float *restrict sum, const float *const *from, const float *k, int width) {
    const float *a = from[0], *b = from[1], *c = from[2], *d = from[3];
    const float ka = k[0], kb = k[1], kc = k[2], kd = k[3];
    for (int x = 0; x < width; x++) sum[x] += (ka * a[x] + kb * b[x]) + (kc * c[x] + kd * d[x]);
}

static void add_four_to_two(float *restrict sum, float *restrict other, const float *const *from, const float *k, const float *q,
                            int width) {
    const float *a = from[0], *b = from[1], *c = from[2], *d = from[3];
    const float ka = k[0], kb = k[1], kc = k[2], kd = k[3], qa = q[0], qb = q[1], qc = q[2], qd = q[3];
    for (int x = 0; x < width; x++) {
        sum[x] += (ka * a[x] + kb * b[x]) + (kc * c[x] + kd * d[x]);
        other[x] += (qa * a[x] + qb * b[x]) + (qc * c[x] + qd * d[x]);
    }
}

static void add_one(float *restrict sum, const float *from, float k, int width) {
    for (int x = 0; x < width; x++) sum[x] += k * from[x];
}

/* What a sum begins with: the bias, and what is there already if `add`. */
static void start(float *sum, const layer *l, int output, int width, int add) {
    const float constant = l->bias ? l->bias[output] : 0.0f;
    for (int x = 0; x < width; x++) sum[x] = add ? sum[x] + constant : constant;
}

/* out(r) = sum of weight(s) in(r + s), or its sum with what is in out, on the tile and `margin` sites around it. */
static void convolve(const workspace *w, const layer *l, const array *in, array *out, int margin, int add) {
    const int rz = USED(0) ? l->radius : 0, ry = USED(1) ? l->radius : 0, rx = l->radius;
    const int mz = USED(0) ? margin : 0, my = USED(1) ? margin : 0, width = w->tile[2] + 2 * margin;
    const int inputs = l->inputs / l->groups, outputs = l->outputs / l->groups;
    const float *from[TERMS]; /* the rows that a row of any output of the group is a sum of */
    for (int z = -mz; z < w->tile[0] + mz; z++)
        for (int y = -my; y < w->tile[1] + my; y++)
            for (int group = 0; group < l->groups; group++) {
                int terms = 0;
                for (int i = group * inputs; i < (group + 1) * inputs; i++)
                    for (int dz = -rz; dz <= rz; dz++)
                        for (int dy = -ry; dy <= ry; dy++) {
                            const float *row = at(w, in, i, z + dz, y + dy, -margin);
                            for (int dx = -rx; dx <= rx; dx++) from[terms++] = row + dx;
                        }
                for (int o = group * outputs, left = outputs; left > 0; o += 2, left -= 2) {
                    const int two = left > 1;
                    const float *k = l->weights + (size_t)o * terms, *q = k + terms;
                    float *sum = at(w, out, o, z, y, -margin), *other = two ? at(w, out, o + 1, z, y, -margin) : 0;
                    start(sum, l, o, width, add);
                    if (two) start(other, l, o + 1, width, add);
                    int n = 0;
                    for (; two && n + 4 <= terms; n += 4) add_four_to_two(sum, other, from + n, k + n, q + n, width);
                    for (; n + 4 <= terms; n += 4) add_four(sum, from + n, k + n, width);
                    for (; n < terms; n++) {
                        add_one(sum, from[n], k[n], width);
                        if (two) add_one(other, from[n], q[n], width);
                    }
                }
            }
}

/* x / (1 + exp(-x)) in steps without branches, which compilers turn into vector instructions: exp(-|x|) = 2^-n 2^-f with n whole and
   0 <= f < 1, the second factor by its Taylor series around f = 1/2, to rounding. Positive floats are ordered as their bits are. */
static float silu(float x) {
    union { int bits; float value; } t = {.value = fabsf(x) * 1.44269504f}, power;
    t.bits = t.bits < 0x42fa0000 ? t.bits : 0x42fa0000; /* at most 125 */
    const int n = (int)t.value;
    const float u = ((float)n + 0.5f - t.value) * 0.693147181f;
    power.bits = (127 - n) << 23;
    const float series = 1.0f + u * (1.0f + u * (0.5f + u * (1.0f / 6 + u * (1.0f / 24 + u * (1.0f / 120 + u * (1.0f / 720))))));
    const float e = power.value * 0.707106781f * series;
    return (0.5f * (x + fabsf(x)) + 0.5f * (x - fabsf(x)) * e) / (1.0f + e);
}

static void silu_pairs(float *restrict odd, float *restrict even, const float *restrict o, const float *restrict e, int width) {
    for (int x = 0; x < width; x++) {
        const float plus = silu(e[x] + o[x]), minus = silu(e[x] - o[x]);
        odd[x] = plus - minus, even[x] = plus + minus;
    }
}

static void silu_alone(float *restrict to, const float *restrict from, int width) {
    for (int x = 0; x < width; x++) to[x] = silu(from[x]);
}

/* The activation of every channel, on the tile and `margin` sites around it: with its partner of the other parity, or alone. */
static void activate(const workspace *w, const array *in, array *out, int margin) {
    const int mz = USED(0) ? margin : 0, my = USED(1) ? margin : 0, width = w->tile[2] + 2 * margin;
    for (int z = -mz; z < w->tile[0] + mz; z++)
        for (int y = -my; y < w->tile[1] + my; y++)
            for (int c = 0; c < FEATURES; c++) {
                const float *from = at(w, in, c, z, y, -margin);
                float *to = at(w, out, c, z, y, -margin);
                if (partner[c] >= 0) { /* c is odd */
                    const float *even = at(w, in, partner[c], z, y, -margin);
                    silu_pairs(to, at(w, out, partner[c], z, y, -margin), from, even, width);
                } else if (partner[c] == SILU) {
                    silu_alone(to, from, width);
                } else if (partner[c] == TANH) {
                    for (int x = 0; x < width; x++) to[x] = tanhf(from[x]);
                }
            }
}

/* Forces on the tile, of the fields there. */
static void network(workspace *w) {
    int margin = DEPTH * RADIUS;
    convolve(w, &embed, &w->fields, &w->features, margin, 0);
#if WIDE
    convolve(w, &far, &w->fields, &w->seen, margin, 0);
    convolve(w, &spread, &w->seen, &w->features, margin, 1);
#endif
    for (int block = 0; block < DEPTH; block++) {
        activate(w, &w->features, &w->active, margin);
        margin -= RADIUS;
#if SEPARABLE
        convolve(w, stencils[block], &w->active, &w->filtered, margin, 0);
        convolve(w, mixings[block], &w->filtered, &w->features, margin, 1);
#else
        convolve(w, blocks[block], &w->active, &w->features, margin, 1);
#endif
    }
    activate(w, &w->features, &w->active, 0);
    convolve(w, &readout, &w->active, &w->forces, 0, 0);
}

/* Room for a workspace's arrays and their places; called without values, it counts bytes alone. */
static size_t arrange(workspace *w, float *values) {
    array *each[] = {&w->fields, &w->seen, &w->features, &w->active, &w->filtered, &w->forces};
    const int body = DEPTH * RADIUS, channels[] = {COMPONENTS, WIDE, FEATURES, FEATURES, SEPARABLE * FEATURES, COMPONENTS};
    const int halos[] = {REACH, body, body, body, body, 0};
    size_t total = 0;
    for (int n = 0; n < 6; n++) {
        size_t sites = channels[n];
        for (int axis = 0; axis < 3; axis++) sites *= w->tile[axis] + (USED(axis) ? 2 * halos[n] : 0);
        each[n]->channels = channels[n], each[n]->halo = halos[n], each[n]->values = values ? values + total : 0;
        total += sites;
    }
    return total * sizeof(float);
}

void *${NAME}_prepare(const int *lengths) {
    workspace sizes = {{1, 1, 1}, {1, 1, 1}, {0}, {0}, {0}, {0}, {0}, {0}};
    for (int axis = 0; axis < DIMENSION; axis++) {
        const int length = lengths[axis], place = 3 - DIMENSION + axis;
        if (length < 2 * REACH || (EVEN && length % 2)) {
            ${NAME}_problem = EVEN ? "every length must be even, and at least twice the reach of the network"
                                : "every length must be at least twice the reach of the network";
            return 0;
        }
        sizes.lengths[place] = length, sizes.tile[place] = length < TILE ? length : TILE;
    }
    const size_t head = (sizeof(workspace) + 63) / 64 * 64;
    workspace *w = malloc(head + arrange(&sizes, 0));
    if (!w) {
        ${NAME}_problem = "there is not enough memory for a tile";
        return 0;
    }
    *w = sizes;
    arrange(w, (float *)((char *)w + head));
    return w;
}

/* Copies the fields of the tile that begins at `start`, and those around it on the torus; returns whether all are finite. */
static int gather(workspace *w, const int *start, const double *fields) {
    const int *n = w->lengths, mz = USED(0) ? REACH : 0, my = USED(1) ? REACH : 0;
    int finite = 1;
    for (int c = 0; c < COMPONENTS; c++)
        for (int z = -mz; z < w->tile[0] + mz; z++)
            for (int y = -my; y < w->tile[1] + my; y++) {
                const int from_z = (start[0] + z + n[0]) % n[0], from_y = (start[1] + y + n[1]) % n[1];
                const double *from = fields + (((size_t)c * n[0] + from_z) * n[1] + from_y) * n[2];
                float *to = at(w, &w->fields, c, z, y, 0);
                for (int x = -REACH; x < w->tile[2] + REACH; x++) {
                    to[x] = (float)from[(start[2] + x + n[2]) % n[2]] / FIELD_SCALE;
                    finite = finite && isfinite(to[x]);
                }
            }
    return finite;
}

/* Copies the forces of the tile out, none longer than LARGEST_FORCE; returns whether all are finite. */
static int scatter(const workspace *w, const int *start, double *forces) {
    const int *n = w->lengths;
    const size_t sites = (size_t)n[0] * n[1] * n[2];
    int finite = 1;
    for (int z = 0; z < w->tile[0]; z++)
        for (int y = 0; y < w->tile[1]; y++)
            for (int x = 0; x < w->tile[2]; x++) {
                double *to = forces + ((size_t)(start[0] + z) * n[1] + start[1] + y) * n[2] + start[2] + x, square = 0.0;
                for (int c = 0; c < COMPONENTS; c++) {
                    to[c * sites] = *at(w, &w->forces, c, z, y, x) * FORCE_SCALE;
                    square += to[c * sites] * to[c * sites];
                }
                finite = finite && isfinite(square);
                if (LARGEST_FORCE > 0 && square > LARGEST_FORCE * LARGEST_FORCE)
                    for (int c = 0; c < COMPONENTS; c++) to[c * sites] *= LARGEST_FORCE / sqrt(square);
            }
    return finite;
}

int ${NAME}_forces(void *space, const double *fields, double *forces) {
    workspace *w = space;
    const int *n = w->lengths, *tile = w->tile;
    for (int z = 0; z < n[0]; z += tile[0])
        for (int y = 0; y < n[1]; y += tile[1])
            for (int x = 0; x < n[2]; x += tile[2]) {
                /* The last tile along an axis begins earlier, so that all are of one size; their common sites get the same forces. */
                const int corner[3] = {z, y, x};
                int start[3];
                for (int axis = 0; axis < 3; axis++)
                    start[axis] = corner[axis] < n[axis] - tile[axis] ? corner[axis] : n[axis] - tile[axis];
                if (!gather(w, start, fields)) {
                    ${NAME}_problem = "fields are not finite, or beyond single precision";
                    return 1;
                }
                network(w);
                if (!scatter(w, start, forces)) {
                    ${NAME}_problem = "the network overflows on these fields, far beyond those it was trained on";
                    return 1;
                }
            }
    return 0;
}
