/* The order of work: forces of strips that stream through all layers, and gradients of whole tori, layer by layer.

   A sheet is what a lattice holds at one value of its first axis: a row in two dimensions, a plane in three; a chain is one sheet. It is
   stored as [channel][position], the positions of the inner axes in one run, with a halo. Some positions worked on lie in the halo: what
   they give is meaningless, finite, and never reaches a site that counts. */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define MAX(x, y) ((x) > (y) ? (x) : (y))
#define UP(x, unit) (((x) + (unit) - 1) / (unit) * (unit))
#define LEVELS_HALO (READS ? 2 * BODY + REACH : BODY) /* of features around the forces that they give */
#define HALO (LEVELS_HALO + REACH)
#define FARTHEST MAX(SPREAD, REACH)
#if INNER == 1
#define COUNT UP(TILE + 2 * LEVELS_HALO, PAIR)
#define COLUMNS (COUNT - 2 * LEVELS_HALO)
#define PITCH 0L
#define START UP(FARTHEST, LANES)
#define FIELD_START (START - REACH)
#define FIELD_SITES (COUNT + 2 * REACH)
#define STRIDE (COUNT + 2 * START)
#else
#define COLUMNS TILE
#define PITCH (TILE + 2L * HALO)
#define COUNT UP((PITCH - 2 * REACH) * PITCH, PAIR)
#define FIELD_START UP(FARTHEST * (PITCH + 1), LANES)
#define FIELD_SITES (PITCH * PITCH)
#define START (FIELD_START + REACH * PITCH)
#define STRIDE UP(START + COUNT + FARTHEST * (PITCH + 1), LANES)
#endif

static inline const float *block_weights(const float *w, int l) { return w + W_BLOCKS + l * W_BLOCK; }

/* The numbers of one copy and group element among features or outputs. */
INLINE void pick(const pair *from, const int *bases, const int *steps, int numbers, int c, int h, pair *to) {
    for (int n = 0; n < numbers; n++) to[n] = from[bases[n] + c * steps[n] + h];
}
INLINE void put(const pair *from, const int *bases, const int *steps, int numbers, int c, int h, pair *to) {
    for (int n = 0; n < numbers; n++) to[bases[n] + c * steps[n] + h] = from[n];
}
INLINE void with_bias(const float *w, int c, pair *z) {
    for (int n = 0; n < GATED; n++)
        if (OUTPUT_BIAS[n] >= 0) z[n] = add(z[n], all(w[W_BIAS + OUTPUT_BIAS[n] * COPIES + c]));
}
INLINE void activate_all(const float *w, const pair *features, pair *active) {
    for (int c = 0; c < COPIES; c++)
        for (int h = 0; h < GROUP; h++) {
            pair x[NUMBERS], y[NUMBERS];
            pick(features, CHANNEL, CHANNEL_STEP, NUMBERS, c, h, x);
            activate(x, w + W_PRODUCTS + c * PRODUCT_WEIGHTS, y);
            put(y, CHANNEL, CHANNEL_STEP, NUMBERS, c, h, active);
        }
}
INLINE void load_all(const float *from, long stride, pair *to) {
    for (int n = 0; n < CHANNELS; n++) to[n] = load(from + n * stride);
}
INLINE void store_all(const pair *from, float *to, long stride) {
    for (int n = 0; n < CHANNELS; n++) store(to + n * stride, from[n]);
}

/* Features, and the activated ones that the first block looks at, of a pair of sites. */
INLINE void first(const float *w, const float *const *near, long field_stride, long field_pitch, long field_x, const float *seen,
                         long seen_stride, float *feature, float *active, long stride) {
    const float *at[NEAR];
    pair f[CHANNELS], a[CHANNELS];
    point_near(near, field_stride, field_pitch, field_x, at);
    embed(w, at, field_stride, seen, seen_stride, f);
    store_all(f, feature, stride);
    activate_all(block_weights(w, 0), f, a);
    store_all(a, active, stride);
}

/* A block at a pair of sites: new features, old ones and the gated convolution of the activated ones around, go to ``feature``, what the
   next block's activation makes of them to ``active``; of the last block to ``last`` instead. Each may be none. */
INLINE void step(const float *w, const float *const *rows, long stride, long pitch, long x, long dilation, const float *old,
                 float *feature, float *active, const float *next, pair *last) {
    pair z[MIXED];
    convolve(w, rows, stride, pitch, x, dilation, z);
    for (int c = 0; c < COPIES; c++)
        for (int h = 0; h < GROUP; h++) {
            pair mixed[GATED], change[NUMBERS], new[NUMBERS], a[NUMBERS];
            pick(z, OUTPUT, OUTPUT_STEP, GATED, c, h, mixed);
            with_bias(w, c, mixed);
            gate(mixed, w, change);
            for (int n = 0; n < NUMBERS; n++) new[n] = add(load(old + (CHANNEL[n] + c * CHANNEL_STEP[n] + h) * stride), change[n]);
            if (active || (last && !TYPED)) activate(new, next + W_PRODUCTS + c * PRODUCT_WEIGHTS, a);
            for (int n = 0; n < NUMBERS; n++) {
                int channel = CHANNEL[n] + c * CHANNEL_STEP[n] + h;
                if (feature) store(feature + channel * stride, new[n]);
                if (active) store(active + channel * stride, a[n]);
                if (last) last[channel] = TYPED ? new[n] : a[n];
            }
        }
}

/* Slopes by features, from those by what an activation makes of them: down += activation'(features) times up. */
INLINE void activation_back(const float *w, const float *features, long stride, const pair *up, pair *down, vec *gradient) {
    for (int c = 0; c < COPIES; c++)
        for (int h = 0; h < GROUP; h++) {
            pair x[NUMBERS], dy[NUMBERS], dx[NUMBERS];
            for (int n = 0; n < NUMBERS; n++) x[n] = load(features + (CHANNEL[n] + c * CHANNEL_STEP[n] + h) * stride);
            pick(up, CHANNEL, CHANNEL_STEP, NUMBERS, c, h, dy);
            activate_adjoint(x, w + W_PRODUCTS + c * PRODUCT_WEIGHTS, dy, dx, gradient + W_PRODUCTS + c * PRODUCT_WEIGHTS);
            for (int n = 0; n < NUMBERS; n++) {
                int channel = CHANNEL[n] + c * CHANNEL_STEP[n] + h;
                down[channel] = add(down[channel], dx[n]);
            }
        }
}

/* What a block's convolution sends back for slopes of its result at a pair of sites, and the gradient by its weights. */
INLINE void send(const float *w, const float *const *rows, long stride, long pitch, long x, long dilation, const float *slope,
                 long slope_stride, float *sent, vec *gradient) {
    pair z[MIXED], dz[MIXED];
    if (TYPED) convolve(w, rows, stride, pitch, x, dilation, z);
    for (int c = 0; c < COPIES; c++)
        for (int h = 0; h < GROUP; h++) {
            pair mixed[GATED], up[NUMBERS], back[GATED];
            for (int n = 0; n < NUMBERS; n++) up[n] = load(slope + (CHANNEL[n] + c * CHANNEL_STEP[n] + h) * slope_stride);
            if (TYPED) {
                pick(z, OUTPUT, OUTPUT_STEP, GATED, c, h, mixed);
                with_bias(w, c, mixed);
            }
            gate_adjoint(mixed, w, up, back, gradient);
            put(back, OUTPUT, OUTPUT_STEP, GATED, c, h, dz);
            if (gradient)
                for (int n = 0; n < GATED; n++)
                    if (OUTPUT_BIAS[n] >= 0) gradient[W_BIAS + OUTPUT_BIAS[n] * COPIES + c] += back[n].a + back[n].b;
        }
    convolve_back(w, rows, stride, pitch, x, dilation, dz, sent, slope_stride, gradient);
}

/* ---- Forces of a strip ---- */
#if !GRADIENTS

typedef struct { float *sheets; long size, count; } ring; /* the last ``count`` sheets */
/* Code for each distance between the sites of a stencil: offsets are then constants. */
static inline float *sheet(const ring *r, long y) { return r->sheets + (y % r->count) * r->size; }

typedef struct {
    ring feature[DEPTH + 1], active[DEPTH + 1], slope[DEPTH + 1], sent[DEPTH + 1], seen;
    float *fields, *result, *scratch;
} workspace;

/* Lay the rings out in memory; returns the number of bytes. */
static long arrange(workspace *s, char *memory) {
    char *at = memory;
#define PLACE(target, channels, number) \
    (target = (float *)at, at += UP((long)(number) * (channels) * STRIDE * (long)sizeof(float), 64))
#define RING(r, channels, number) (r.size = (long)(channels) * STRIDE, r.count = (number), PLACE(r.sheets, channels, number))
    PLACE(s->fields, COMPONENTS, ROWS + 2 * SLOW * HALO);
    PLACE(s->result, COMPONENTS, 1);
    PLACE(s->scratch, SEEN, 1);
    for (int l = 0; l <= DEPTH; l++) {
        long window = l < DEPTH ? SLOW * RADIUS * DILATION[l] : 0; /* of the block above */
        long below = l > 0 ? SLOW * RADIUS * DILATION[l - 1] : SLOW * REACH;
        RING(s->feature[l], CHANNELS, READS ? 2 * SLOW * (BODY - LAG[l]) + 1 : window + 1);
        RING(s->active[l], CHANNELS, 2 * window + 1);
        if (READS) {
            RING(s->slope[l], CHANNELS, l > 0 ? below + 1 : 2 * below + 1);
            RING(s->sent[l], l > 0 ? RETURNED : 0, 2 * below + 1);
        }
    }
    RING(s->seen, READS ? SEEN : 0, 2 * SLOW * REACH + 1);
    return at - memory;
}

#define WINDOW(rows, r, y, reach, dilation) \
    const float *rows[2 * (reach) + 1]; \
    for (int j = 0; j <= 2 * (reach); j++) rows[j] = sheet(&(r), (y) + SLOW * (j - (reach)) * (dilation));

#if READS
/* Forces at sheet y: minus the slope of the energy by the fields. */
static void fall(const float *w, workspace *s, long y) {
    for (long x = START; x < START + COUNT; x += PAIR) {
        const float *near[NEAR], *far[MAX(FAR, 1)];
        pair out[COMPONENTS];
        {
            WINDOW(rows, s->slope[0], y, FIRST_RADIUS, 1)
            point_near_back(rows, STRIDE, PITCH, x, near);
        }
#if SEEN
        {
            WINDOW(rows, s->seen, y, WIDE_RADIUS, 1)
            point_far_back(rows, STRIDE, PITCH, x, far);
        }
#endif
        embed_slope(w, near, STRIDE, far, STRIDE, out);
        for (int v = 0; v < COMPONENTS; v++) store(s->result + v * STRIDE + x, scale(-1.0f, out[v]));
    }
}

/* Slopes by the features of level l at sheet y, from what the block above sent back. */
static void descend(const float *w, workspace *s, int l, long y) {
    const float *block = block_weights(w, l < DEPTH ? l : DEPTH - 1);
    for (long x = START; x < START + COUNT; x += PAIR) {
        pair up[CHANNELS], down[CHANNELS];
        WINDOW(rows, s->sent[l + 1], y, RADIUS, DILATION[l])
        gather(block, rows, STRIDE, PITCH, x, DILATION[l], up);
        load_all(sheet(&s->slope[l + 1], y) + x, STRIDE, down);
        activation_back(block, sheet(&s->feature[l], y) + x, STRIDE, up, down, 0);
        store_all(down, sheet(&s->slope[l], y) + x, STRIDE);
#if SEEN
        if (l == 0) spread_back(w, down, sheet(&s->seen, y) + x, STRIDE);
#endif
    }
}

static void send_sheet(const float *w, workspace *s, int l, long y) {
    float *slope = sheet(&s->slope[l], y);
    const float *rows[2 * RADIUS + 1];
    for (int j = 0; j <= 2 * RADIUS; j++) rows[j] = slope;
    for (long x = START; x < START + COUNT; x += PAIR)
        send(block_weights(w, l - 1), rows, STRIDE, PITCH, x, DILATION[l - 1], slope + x, STRIDE, sheet(&s->sent[l], y) + x, 0);
}
#endif

/* One sheet through the first layer. */
static void enter(const float *w, workspace *s, long y) {
    const float *near[2 * FIRST_RADIUS + 1], *far[2 * WIDE_RADIUS + 1];
    const long size = COMPONENTS * STRIDE;
    for (int j = 0; j <= 2 * FIRST_RADIUS; j++) near[j] = s->fields + (y + SLOW * (REACH - FIRST_RADIUS + j)) * size;
    for (int j = 0; j <= 2 * WIDE_RADIUS; j++) far[j] = s->fields + (y + SLOW * (REACH - WIDE_RADIUS + j)) * size;
    (void)far; /* of networks without far stencils */
    float *feature = sheet(&s->feature[0], y), *active = sheet(&s->active[0], y), *seen = s->scratch;
    for (long x = START; x < START + COUNT; x += PAIR) {
#if SEEN
        const float *at[FAR];
        point_far(far, STRIDE, PITCH, x, at);
        look_far(w, at, STRIDE, seen + x, STRIDE);
#endif
        first(w, near, STRIDE, PITCH, x, seen + x, STRIDE, feature + x, active + x, STRIDE);
    }
}

/* One sheet through block l, counted from one; the last one's forces, or slopes by its features, are read out at once. */
INLINE void pass_dilated(const float *w, workspace *s, int l, long y, const long dilation) {
    const float *block = block_weights(w, l - 1), *old = sheet(&s->feature[l - 1], y);
    WINDOW(rows, s->active[l - 1], y, RADIUS, dilation)
    for (long x = START; x < START + COUNT; x += PAIR) {
        if (l < DEPTH) {
            float *feature = sheet(&s->feature[l], y) + x, *active = sheet(&s->active[l], y) + x;
            step(block, rows, STRIDE, PITCH, x, dilation, old + x, feature, active, block_weights(w, l), 0);
        } else if (!READS) {
            pair last[CHANNELS], out[COMPONENTS];
            step(block, rows, STRIDE, PITCH, x, dilation, old + x, 0, 0, block, last);
            read(w, last, out);
            for (int v = 0; v < COMPONENTS; v++) store(s->result + v * STRIDE + x, out[v]);
        } else {
#if READS
            pair down[CHANNELS], slope[CHANNELS];
            step(block, rows, STRIDE, PITCH, x, dilation, old + x, sheet(&s->feature[l], y) + x, 0, block, 0);
            read_back(w, 0, 0, down, 0);
            for (int n = 0; n < CHANNELS; n++) slope[n] = all(0.0f);
            activation_back(block, sheet(&s->feature[l], y) + x, STRIDE, down, slope, 0);
            store_all(slope, sheet(&s->slope[l], y) + x, STRIDE);
#endif
        }
    }
}

static void pass(const float *w, workspace *s, int l, long y) { DILATED(l - 1, pass_dilated(w, s, l, y, dilation)) }

long halo(void) { return HALO; }
long columns(void) { return COLUMNS; }
long field_sites(void) { return FIELD_SITES; }
long workspace_size(void) { workspace s; return arrange(&s, 0) + 64; }

/* Forces of ``rows`` sheets from number y on. Position n of a strip's inner axes, its halo included, holds the site source[n] of a sheet
   of fields, and gives the site target[n] of a sheet of forces, none where that is negative. Sheets lie ``sites`` apart, components
   ``component``; the first axis has ``length`` sheets and closes on itself. space: workspace_size() bytes, zeroed once. */
void forces(const double *fields, double *out, const long *source, const long *target, long length, long sites, long component,
            long out_sites, long out_component, long y, long out_y, long rows, const float *w, char *space) {
    workspace s;
    arrange(&s, (char *)UP((size_t)space, 64));
    for (long r = 0; r < rows + 2 * SLOW * HALO; r++) {
        long from = (((y - SLOW * HALO + r) % length) + length) % length;
        for (int v = 0; v < COMPONENTS; v++) {
            const double *x = fields + from * sites + v * component;
            float *to = s.fields + (r * COMPONENTS + v) * STRIDE + FIELD_START;
            for (long n = 0; n < FIELD_SITES; n++) to[n] = (float)x[source[n]];
        }
    }
    for (long t = 0; t < rows + 2 * SLOW * LEVELS_HALO; t++) {
        long done = -1; /* the sheet that has forces now, if any */
        enter(w, &s, t);
        for (int l = 1; l <= DEPTH; l++) {
            long y_l = t - SLOW * LAG[l];
            if (y_l < SLOW * LAG[l]) break;
            pass(w, &s, l, y_l);
            if (l == DEPTH && !READS) done = y_l - SLOW * LEVELS_HALO;
        }
#if READS
        if (t >= 2 * SLOW * BODY) {
            send_sheet(w, &s, DEPTH, t - SLOW * BODY);
            for (int l = DEPTH - 1; l >= 0; l--) {
                long lag = SLOW * (2 * BODY - LAG[l]), y_l = t - lag;
                if (y_l < lag) break;
                descend(w, &s, l, y_l);
                if (l > 0) send_sheet(w, &s, l, y_l);
            }
            if (t >= 2 * SLOW * LEVELS_HALO) {
                fall(w, &s, t - SLOW * LEVELS_HALO);
                done = t - 2 * SLOW * LEVELS_HALO;
            }
        }
#endif
        if (done >= 0)
            for (int v = 0; v < COMPONENTS; v++) {
                double *to = out + (out_y + done) * out_sites + v * out_component;
                const float *from = s.result + v * STRIDE + FIELD_START;
                for (long n = 0; n < FIELD_SITES; n++)
                    if (target[n] >= 0) to[target[n]] = from[n];
            }
    }
}

#else

/* ---- Gradients of whole tori ---- */

typedef struct {
    long batch, sheets, sites;            /* configurations; sheets of a torus; sites of a sheet */
    long start, count, stride, pitch;     /* of sheets of features: first position and number of those worked on */
    long field_start, field_stride, field_sites;
    long wraps, threads;
    const int *field_source;              /* for each position of a field sheet its site */
    const int *wrap;                      /* pairs (position in the halo, position of the same site inside) */
    const float *valid;                   /* 1 where a position is a site, 0 elsewhere */
    const int *inside;                    /* position of every site */
    const float *fields, *targets, *importance; /* (batch, component, site), and the weight of each configuration */
    const float *w;
    float *features, *active, *slope, *sent, *fields_padded, *seen, *seen_slope;
    vec *gradients;
    double *losses;                       /* one for each thread */
    atomic_int waiting, round, go;
} job;

static void meet(job *j) {
    int round = atomic_load(&j->round);
    if (atomic_fetch_add(&j->waiting, 1) + 1 == j->threads) {
        atomic_store(&j->waiting, 0);
        atomic_fetch_add(&j->round, 1);
        return;
    }
    for (long n = 0; atomic_load(&j->round) == round; n++)
        if (n > 4000) sched_yield();
}

static void close_sheet(const job *j, float *values, int channels) {
    for (int c = 0; c < channels; c++, values += j->stride)
        for (long n = 0; n < j->wraps; n++) values[j->wrap[2 * n]] = values[j->wrap[2 * n + 1]];
}

/* Pointers to the 2 reach + 1 sheets around y of an array of sheets. */
static inline void around(const job *j, const float *values, long size, long y, long reach, long dilation, const float **rows) {
    for (long k = 0; k <= 2 * reach; k++) {
        long at = SLOW ? (y + (k - reach) * dilation) % j->sheets : 0;
        rows[k] = values + (at < 0 ? at + j->sheets : at) * size;
    }
}

typedef struct { job *j; int number; } task;

static void *work(void *argument) {
    job *j = ((task *)argument)->j;
    while (!atomic_load(&j->go)) sched_yield(); /* the number of threads is known when all have started */
    const int me = ((task *)argument)->number;
    const long from = j->sheets * me / j->threads, to = j->sheets * (me + 1) / j->threads;
    const long stride = j->stride, pitch = j->pitch, last = j->start + j->count, shift = j->field_start - j->start;
    const long size = CHANNELS * stride, level = size * j->sheets, field_size = COMPONENTS * j->field_stride;
    const float *w = j->w;
    vec *gradient = j->gradients + (long)me * WEIGHTS;
    double loss = 0.0;
    for (long b = 0; b < j->batch; b++) {
        const long sites = j->sheets * j->sites;
        for (long y = from; y < to; y++)
            for (int v = 0; v < COMPONENTS; v++) {
                const float *x = j->fields + (b * COMPONENTS + v) * sites + y * j->sites;
                float *q = j->fields_padded + y * field_size + v * j->field_stride;
                for (long n = 0; n < j->field_sites; n++) q[n] = x[j->field_source[n]];
            }
        meet(j);
        for (long y = from; y < to; y++) {
            const float *near[2 * FIRST_RADIUS + 1], *far[2 * WIDE_RADIUS + 1];
            around(j, j->fields_padded, field_size, y, FIRST_RADIUS, 1, near);
            around(j, j->fields_padded, field_size, y, WIDE_RADIUS, 1, far);
            float *seen = j->seen + y * SEEN * stride;
            for (long x = j->start; x < last; x += PAIR) {
#if SEEN
                const float *at[FAR];
                point_far(far, j->field_stride, pitch, x + shift, at);
                look_far(w, at, j->field_stride, seen + x, stride);
#endif
                first(w, near, j->field_stride, pitch, x + shift, seen + x, stride, j->features + y * size + x,
                      j->active + y * size + x, stride);
            }
            close_sheet(j, j->active + y * size, CHANNELS);
        }
        meet(j);
        for (int l = 1; l <= DEPTH; l++) {
            const float *block = block_weights(w, l - 1);
            for (long y = from; y < to; y++) {
                const float *rows[2 * RADIUS + 1], *old = j->features + (l - 1) * level + y * size;
                around(j, j->active + (l - 1) * level, size, y, RADIUS, DILATION[l - 1], rows);
                float *feature = j->features + l * level + y * size, *active = j->active + l * level + y * size;
                for (long x = j->start; x < last; x += PAIR) {
                    if (l < DEPTH)
                        step(block, rows, stride, pitch, x, DILATION[l - 1], old + x, feature + x, active + x, block_weights(w, l), 0);
                    else
                        step(block, rows, stride, pitch, x, DILATION[l - 1], old + x, feature + x, 0, block, 0);
                }
                if (l < DEPTH) close_sheet(j, active, CHANNELS);
            }
            meet(j);
        }
        const float factor = 2.0f * j->importance[b] / ((float)j->batch * COMPONENTS * sites);
        double squares = 0.0;
        for (long y = from; y < to; y++) {
            /* The sheet of fields is no longer needed by this thread alone, so the errors have a place of their own. */
            const float *feature = j->features + DEPTH * level + y * size;
            float *slope = j->slope + y * size, *error = j->seen_slope + y * MAX(SEEN, COMPONENTS) * stride;
            for (long x = j->start; x < last; x += PAIR) {
                pair f[CHANNELS], a[CHANNELS], out[COMPONENTS];
                load_all(feature + x, stride, f);
                if (!TYPED) activate_all(block_weights(w, DEPTH - 1), f, a);
                read(w, TYPED ? f : a, out);
                for (int v = 0; v < COMPONENTS; v++) store(error + v * stride + x, out[v]);
            }
            for (int v = 0; v < COMPONENTS; v++) {
                const float *target = j->targets + (b * COMPONENTS + v) * sites + y * j->sites;
                for (long n = 0; n < j->sites; n++) {
                    float *e = error + v * stride + j->inside[n];
                    *e -= target[n];
                    squares += (double)*e * *e;
                    *e *= factor;
                }
            }
            for (long x = j->start; x < last; x += PAIR) {
                pair f[CHANNELS], a[CHANNELS], down[CHANNELS], up[COMPONENTS];
                load_all(feature + x, stride, f);
                if (!TYPED) activate_all(block_weights(w, DEPTH - 1), f, a);
                for (int v = 0; v < COMPONENTS; v++) up[v] = mul(load(error + v * stride + x), load(j->valid + x));
                read_back(w, TYPED ? f : a, up, down, gradient);
                if (!TYPED) {
                    pair through[CHANNELS];
                    for (int n = 0; n < CHANNELS; n++) through[n] = down[n], down[n] = all(0.0f);
                    activation_back(block_weights(w, DEPTH - 1), feature + x, stride, through, down, gradient + W_BLOCKS);
                }
                store_all(down, slope + x, stride);
            }
        }
        loss += squares * j->importance[b] / ((double)j->batch * COMPONENTS * sites);
        for (int l = DEPTH; l > 0; l--) {
            const float *block = block_weights(w, l - 1);
            vec *own = gradient + W_BLOCKS + (l - 1) * W_BLOCK;
            for (long y = from; y < to; y++) {
                const float *rows[2 * RADIUS + 1];
                float *slope = j->slope + y * size, *sent = j->sent + y * RETURNED * stride;
                around(j, j->active + (l - 1) * level, size, y, RADIUS, DILATION[l - 1], rows);
                for (long x = j->start; x < last; x += PAIR)
                    send(block, rows, stride, pitch, x, DILATION[l - 1], slope + x, stride, sent + x, own);
                stencil_gradient(rows, stride, pitch, j->start, j->count, DILATION[l - 1], sent + j->start, stride, own);
                close_sheet(j, sent, RETURNED);
            }
            meet(j);
            for (long y = from; y < to; y++) {
                const float *rows[2 * RADIUS + 1], *feature = j->features + (l - 1) * level + y * size;
                float *slope = j->slope + y * size;
                around(j, j->sent, RETURNED * stride, y, RADIUS, DILATION[l - 1], rows);
                for (long x = j->start; x < last; x += PAIR) {
                    pair up[CHANNELS], down[CHANNELS];
                    gather(block, rows, stride, pitch, x, DILATION[l - 1], up);
                    /* What is no site is worked on too, and must not count. */
                    for (int n = 0; n < CHANNELS; n++) up[n] = mul(up[n], load(j->valid + x));
                    load_all(slope + x, stride, down);
                    activation_back(block, feature + x, stride, up, down, own);
                    store_all(down, slope + x, stride);
                }
                }
            meet(j);
        }
        for (long y = from; y < to; y++) {
            const float *near[2 * FIRST_RADIUS + 1], *far[2 * WIDE_RADIUS + 1];
            around(j, j->fields_padded, field_size, y, FIRST_RADIUS, 1, near);
            around(j, j->fields_padded, field_size, y, WIDE_RADIUS, 1, far);
            for (long x = j->start; x < last; x += PAIR) {
                const float *at[NEAR];
                pair slope[CHANNELS];
                float *seen_slope = j->seen_slope + y * MAX(SEEN, COMPONENTS) * stride + x;
                point_near(near, j->field_stride, pitch, x + shift, at);
                load_all(j->slope + y * size + x, stride, slope);
                embed_back(w, at, j->field_stride, j->seen + y * SEEN * stride + x, stride, slope, gradient, seen_slope);
#if SEEN
                const float *wide[FAR];
                point_far(far, j->field_stride, pitch, x + shift, wide);
                look_far_back(wide, j->field_stride, seen_slope, stride, gradient);
#endif
            }
        }
        meet(j);
    }
    j->losses[me] = loss;
    return 0;
}

/* Loss, and its gradient by all weights. ``sizes``: the numbers of ``job`` from batch to threads. ``memory``: gradient_size bytes. */
static long divide(job *j, char *memory) {
    char *at = memory;
#define TAKE(target, type, count) (target = (type *)at, at += UP((long)(count) * (long)sizeof(type), 64))
    long sheet = j->sheets * j->stride;
    TAKE(j->features, float, (DEPTH + 1) * CHANNELS * sheet);
    TAKE(j->active, float, DEPTH * CHANNELS * sheet);
    TAKE(j->slope, float, CHANNELS * sheet);
    TAKE(j->sent, float, RETURNED * sheet);
    TAKE(j->seen, float, SEEN * sheet);
    TAKE(j->seen_slope, float, MAX(SEEN, COMPONENTS) * sheet);
    TAKE(j->fields_padded, float, COMPONENTS * j->sheets * j->field_stride);
    TAKE(j->gradients, vec, WEIGHTS * j->threads);
    TAKE(j->losses, double, j->threads);
    return at - memory;
}

static void fill(job *j, const long *sizes) {
    j->batch = sizes[0], j->sheets = sizes[1], j->sites = sizes[2], j->start = sizes[3], j->count = sizes[4], j->stride = sizes[5];
    j->pitch = sizes[6], j->field_start = sizes[7], j->field_stride = sizes[8], j->field_sites = sizes[9], j->wraps = sizes[10];
    j->threads = sizes[11];
}

long gradient_size(const long *sizes) {
    job j;
    fill(&j, sizes);
    return divide(&j, 0) + 64;
}

double gradient(const long *sizes, const int *field_source, const int *wrap, const float *valid, const int *inside, const float *fields,
                const float *targets, const float *importance, const float *w, float *result, char *memory) {
    job j;
    pthread_t threads[64];
    task tasks[64];
    fill(&j, sizes);
    divide(&j, (char *)UP((size_t)memory, 64));
    j.field_source = field_source, j.wrap = wrap, j.valid = valid, j.inside = inside;
    j.fields = fields, j.targets = targets, j.importance = importance, j.w = w;
    atomic_init(&j.waiting, 0), atomic_init(&j.round, 0), atomic_init(&j.go, 0);
    memset(j.gradients, 0, WEIGHTS * j.threads * sizeof(vec));
    for (int n = 0; n < j.threads; n++) tasks[n] = (task){&j, n};
    int started = 1;
    for (; started < j.threads; started++)
        if (pthread_create(&threads[started], 0, work, &tasks[started])) break;
    j.threads = started;
    atomic_store(&j.go, 1);
    work(&tasks[0]);
    double loss = 0.0;
    for (int n = 0; n < j.threads; n++) {
        if (n) pthread_join(threads[n], 0);
        loss += j.losses[n];
    }
    for (long n = 0; n < WEIGHTS; n++) {
        float sum = 0.0f;
        for (int t = 0; t < j.threads; t++)
            for (int lane = 0; lane < LANES; lane++) sum += j.gradients[t * WEIGHTS + n][lane];
        result[n] = sum;
    }
    return loss;
}
#endif
