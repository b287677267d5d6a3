/* unlearn.h - all of libunlearn's public interface. */
#ifndef UNLEARN_UNLEARN_H
#define UNLEARN_UNLEARN_H
#include "unlearn/base.h"
#include "unlearn/batch.h"
#include "unlearn/method.h"
#include "unlearn/metric.h"
#include "unlearn/run.h"
#endif
