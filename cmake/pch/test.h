#pragma once
#include "room.h"

#include <gtest/gtest.h>
