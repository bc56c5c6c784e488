using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Training;

/// <summary>
/// Changes parameters by their gradients. Before it sees them every optimiser's gradients are measured, blamed where they are not finite,
/// preconditioned and clipped in the same way. <see cref="TrainerOptions.Optimizer"/> chooses one.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public interface IOptimizer<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>Steps done.</summary>
    int Steps { get; }

    /// <summary>
    /// What it remembers from step to step, vectors of the parameters' layout that hold what is trained: as many as
    /// <see cref="OptimizerOptions.StateVectors"/>; none where ranks share the optimiser (<see cref="TrainerOptions.ShardOptimizer"/>).
    /// </summary>
    IReadOnlyList<ParameterVector<T>> StateVectors { get; }

    /// <summary>One step.</summary>
    /// <param name="gradients">Gradients; those of what is trained are zero afterwards.</param>
    /// <param name="rateFactor">Factor of the highest learning rates, from the schedule.</param>
    /// <param name="workers">Threads.</param>
    /// <returns>Global norm of the gradient (before preconditioning and clipping).</returns>
    /// <exception cref="ShapeMismatchException">The gradients are not of the parameters' layout, or leave out what is trained.</exception>
    /// <exception cref="NonFiniteException">A gradient is NaN, infinite, or too large to work with; its slice is named, and nothing is changed.</exception>
    double Step(ParameterVector<T> gradients, double rateFactor, WorkerPool workers);

    /// <summary>Global norm of the gradients of what is trained.</summary>
    /// <param name="gradients">Gradients.</param>
    /// <param name="workers">Threads; the result is the same for any number.</param>
    /// <exception cref="ShapeMismatchException">The gradients are not of the parameters' layout, or leave out what is trained.</exception>
    /// <exception cref="NonFiniteException">A gradient is NaN or infinite; its slice is named.</exception>
    /// <exception cref="ConcurrentUseException">Another step is under way.</exception>
    double GradientNorm(ParameterVector<T> gradients, WorkerPool workers);

    /// <summary>One step of a part of what is clipped together.</summary>
    /// <param name="gradients">Gradients; those of what is trained are zero afterwards.</param>
    /// <param name="rateFactor">Factor of the highest learning rates, from the schedule.</param>
    /// <param name="workers">Threads.</param>
    /// <param name="norm">Norm of all parts together: the root of the sum of the squares of their <see cref="GradientNorm"/>.</param>
    /// <exception cref="ShapeMismatchException">The gradients are not of the parameters' layout, or leave out what is trained.</exception>
    /// <exception cref="NonFiniteException">A gradient, clipped and preconditioned, is too large to work with; its slice is named, and
    /// nothing is changed.</exception>
    void Step(ParameterVector<T> gradients, double rateFactor, WorkerPool workers, double norm);
}
