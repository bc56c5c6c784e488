namespace RbeMl.Training;

/// <summary>Bytes of a training run, compressed and as the same model would take dense in fp32.</summary>
/// <param name="Weights">Weights in memory: fp32 values, quantised bases, places and the kernels' walk orders and tables.</param>
/// <param name="Gradients">Gradient vectors: one, and log2 of <see cref="TrainerOptions.Accumulate"/> more; and what is received from other ranks.</param>
/// <param name="Optimizer">State vectors of the optimiser, and where there are such the average of the weights and the floats behind few bits.</param>
/// <param name="Activations">Activations kept between forward and backward, after the first step.</param>
/// <param name="DenseWeights">fp32 weights of the dense model; a gradient vector and each vector of the optimiser take the same.</param>
public readonly record struct TrainingBytes(long Weights, long Gradients, long Optimizer, long Activations, long DenseWeights);
