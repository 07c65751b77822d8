/* Reads the fields of one torus from the standard input, as text, and prints the forces, one to a line.

     cc -O3 -std=c99 -o example example.c ${NAME}.c -lm
     ./example LENGTHS < fields.txt

   A length for each axis of the lattice, in the order of the fields: (component, z, y, x) as far as there are so many. */
#include <stdio.h>
#include <stdlib.h>

#include "${NAME}.h"

int main(int count, char **arguments) {
    int lengths[${NAME}_DIMENSION], values = ${NAME}_COMPONENTS;
    if (count != 1 + ${NAME}_DIMENSION) return fprintf(stderr, "usage: %s LENGTHS < fields.txt\n", arguments[0]), 2;
    for (int axis = 0; axis < ${NAME}_DIMENSION; axis++) {
        lengths[axis] = atoi(arguments[1 + axis]);
        values *= lengths[axis];
    }
    void *workspace = ${NAME}_prepare(lengths);
    double *fields = malloc((size_t)values * sizeof *fields), *forces = malloc((size_t)values * sizeof *forces);
    if (!workspace || !fields || !forces) return fprintf(stderr, "%s\n", ${NAME}_problem), 1;
    for (int n = 0; n < values; n++)
        if (scanf("%lf", &fields[n]) != 1) return fprintf(stderr, "%d fields are wanted, and there are %d\n", values, n), 1;
    if (${NAME}_forces(workspace, fields, forces)) return fprintf(stderr, "%s\n", ${NAME}_problem), 1;
    for (int n = 0; n < values; n++) printf("%.17g\n", forces[n]);
    free(forces), free(fields), free(workspace);
    return 0;
}
