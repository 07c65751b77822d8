/* Forces of a trained network.

${TOLD}

   Fields and forces are doubles, (component, z, y, x) as far as the lattice has axes, x fastest; the boundary is periodic. Arithmetic
   is of single precision. Compile with: cc -O3 -std=c99 -c ${NAME}.c, and link with -lm. */
#ifndef ${NAME}_h
#define ${NAME}_h

#define ${NAME}_DIMENSION ${DIMENSION}   /* axes of the lattice */
#define ${NAME}_COMPONENTS ${COMPONENTS} /* of the field, on each site */
#define ${NAME}_REACH ${REACH}           /* sites along an axis that the force of a site depends on */

#ifdef __cplusplus
extern "C" {
#endif

/* A workspace for tori of these lengths, one for each axis, each at least twice the reach; free() it. For each thread one of its own.
   NULL if the lengths do not fit or memory is short: ${NAME}_problem then says why. */
void *${NAME}_prepare(const int *lengths);

/* Writes the forces on all sites. Returns 0; or 1 where fields or forces are not finite: then forces are not to be used. */
int ${NAME}_forces(void *workspace, const double *fields, double *forces);

extern const char *${NAME}_problem; /* in words, of the last failure */

#ifdef __cplusplus
}
#endif
#endif
