/* Written by train_motion.py; do not edit. Accuracy on simulated recordings that it was not trained on: 100.0%. */
#ifndef MOTION_MODEL_H
#define MOTION_MODEL_H

#include <stdint.h>

#define MOTION_CLASSES 4 /* idle, walk, shake, rotate */
#define MOTION_HIDDEN 12
#define MOTION_HIDDEN_SHIFT 6
#define MOTION_OUTPUT_SHIFT 2 /* scores come out in steps of 1/256 */

static const int8_t motion_hidden_weights[MOTION_HIDDEN][18] = {
    {10, 55, 4, -6, 34, 3, -21, -32, 4, 1, 11, -10, 0, 9, -16, 15, 76, 30},
    {4, -16, 12, -1, -21, -6, 23, 35, 7, 1, -19, 4, 1, -5, 1, 6, -27, 0},
    {6, -15, -5, -6, 17, -2, 13, -2, -4, -17, -1, -6, 8, -24, -6, 15, 20, -14},
    {-16, -7, 5, 0, 17, -12, 17, -33, -8, -15, -35, 4, -19, -21, -14, 0, 21, -1},
    {16, 4, 14, -2, -5, 4, -30, 0, 2, -13, 5, -6, -26, -2, -10, -6, -2, 13},
    {1, -10, 2, -21, 17, -13, 14, -32, -13, -4, 8, 5, -7, -12, -14, -2, -8, 6},
    {-11, -6, -8, -8, -7, 2, 2, 56, 14, -15, 34, -15, 0, 43, 1, -10, -38, 0},
    {4, -11, 13, 8, -27, 3, 11, 66, 7, 8, 22, -8, -5, 27, 13, -6, -46, 3},
    {16, 20, -7, 0, -13, -12, 1, -8, 10, 14, 1, 14, -6, -20, 5, 32, 23, -11},
    {2, 43, -8, 11, 19, 16, -4, 21, 24, -4, 18, 23, -9, 49, 2, -8, 24, 4},
    {2, -4, 11, -25, -8, -3, 18, -23, -4, -12, -8, 7, 4, 14, -6, 3, 10, 10},
    {-5, 16, -9, 19, -7, -2, 8, 6, 19, -1, -20, 5, -9, -36, 8, -1, 36, -10}};
static const int32_t motion_hidden_bias[MOTION_HIDDEN] = {-2485, 5925, 1809, 3278, 205, 2824, -1138, 983, 116, -3349, -48, 1553};
static const int8_t motion_output_weights[MOTION_CLASSES][MOTION_HIDDEN] = {
    {-76, 59, 17, 48, 5, 40, -7, 9, -7, -65, 5, -7},
    {-46, 29, -13, -43, 19, -30, 52, 67, 1, 10, 16, -1},
    {47, -85, -25, -20, 2, -26, 22, -18, -4, 64, 9, -39},
    {57, -16, 21, 47, 1, 3, -63, -60, 34, -4, 8, 42}};
static const int32_t motion_output_bias[MOTION_CLASSES] = {1658, -87, -1730, 159};

#endif
