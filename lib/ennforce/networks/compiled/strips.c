/* Forces of a strip, which streams through all layers: what it needs stays in the cache. */

typedef struct { float *sheets; long size, count; } ring; /* the last ``count`` sheets */
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
        RING(s->active[l], CHANNELS, READS && TYPED ? 2 * SLOW * (BODY - LAG[l]) + 1 : 2 * window + 1);
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
    const float *block = block_weights(w, l);
    for (long x = START; x < START + COUNT; x += PAIR) {
        pair up[CHANNELS], down[CHANNELS];
        WINDOW(rows, s->sent[l + 1], y, RADIUS, DILATION[l])
        gather(block, rows, STRIDE, PITCH, x, DILATION[l], up);
        load_all(sheet(&s->slope[l + 1], y) + x, STRIDE, down);
        activation_back(block, sheet(&s->feature[l], y) + x, STRIDE, up, down, 0);
        store_all(down, sheet(&s->slope[l], y) + x, STRIDE);
#if SEEN
        if (l == 0) embed_back(w, 0, STRIDE, sheet(&s->seen, y) + x, STRIDE, down, 0, sheet(&s->seen, y) + x);
#endif
    }
}

static void send_sheet(const float *w, workspace *s, int l, long y) {
    float *slope = sheet(&s->slope[l], y);
    const float *rows[2 * RADIUS + 1]; /* of the activated features, which gates need to know what they gated */
    for (int j = 0; j <= 2 * RADIUS; j++)
        rows[j] = TYPED ? sheet(&s->active[l - 1], y + SLOW * (j - RADIUS) * DILATION[l - 1]) : slope;
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

/* One sheet through block l, counted from one; the last one's forces, or slopes by its features, are read out at once. There is code for
   each dilation, whose offsets are then constants. */
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
            read_back(w, 0, &(pair){1.0f - (vec){0}, 1.0f - (vec){0}}, down, 0);
            for (int n = 0; n < CHANNELS; n++) slope[n] = all(0.0f);
            if (!TYPED) activation_back(block, sheet(&s->feature[l], y) + x, STRIDE, down, slope, 0);
            store_all(TYPED ? down : slope, sheet(&s->slope[l], y) + x, STRIDE);
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

