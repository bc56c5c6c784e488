using Microsoft.ML;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>Where an invalid input must be refused.</summary>
[Flags]
public enum RefusedBy
{
    /// <summary>By the estimator's <c>GetOutputSchema</c>.</summary>
    Shape = 1,

    /// <summary>By the estimator's <c>Fit</c>.</summary>
    Fit = 2,

    /// <summary>By the fitted transformer's <c>GetOutputSchema</c> and <c>Transform</c>.</summary>
    Transform = 4,
}

/// <summary>
/// Data an estimator must refuse with an <see cref="ArgumentOutOfRangeException"/> that names the column. A shape has no sizes, so a vector of a
/// wrong size is refused by <see cref="RefusedBy.Fit"/> or <see cref="RefusedBy.Transform"/> only.
/// </summary>
public sealed record InvalidInput(IDataView Data, string Column, RefusedBy By = RefusedBy.Shape | RefusedBy.Fit);

/// <summary>What a citizenship test needs to know of a component.</summary>
public sealed class WorkoutOptions
{
    /// <summary>Inputs that must be refused.</summary>
    public IReadOnlyList<InvalidInput> Invalid { get; init; } = [];

    /// <summary>
    /// Run on every fresh context before a model is loaded, in the child process too: a static method or a lambda that captures nothing.
    /// <c>UseRbe</c> unless told otherwise.
    /// </summary>
    public Action<MLContext> Prepare { get; init; } = static ml => ml.UseRbe();

    /// <summary>How often the component ran its forward pass so far, over all its transformers; null if it doesn't count.</summary>
    public Func<long>? ForwardCount { get; init; }

    /// <summary>Makes the estimator anew, for "same seed, same bits"; null fits the same estimator again.</summary>
    public Func<IEstimator<ITransformer>>? Again { get; init; }

    /// <summary>An ML.NET trainer or transform to put behind the component, after a cache checkpoint; null for none.</summary>
    public IEstimator<ITransformer>? Downstream { get; init; }

    /// <summary>A hook to cross-validate the component on the valid data and assert something about the result; null for none.</summary>
    public Action<IEstimator<ITransformer>, IDataView>? CrossValidate { get; init; }

    /// <summary>Predictions of which the heap must not grow.</summary>
    public int Predictions { get; init; } = 1000;

    /// <summary>Threads that predict at a time.</summary>
    public int Threads { get; init; } = 8;

    /// <summary>Rows that are read for every pair of columns.</summary>
    public int PairRows { get; init; } = 6;

    /// <summary>Whether a model is loaded in a fresh process too.</summary>
    public bool ChildProcess { get; init; } = true;

    /// <summary>Checks (names as in the report) that the component is known to fail, with the reason; one that passes fails.</summary>
    public IReadOnlyDictionary<string, string> Excused { get; init; } = new Dictionary<string, string>();
}
