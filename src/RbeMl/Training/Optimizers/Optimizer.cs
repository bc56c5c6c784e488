using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Training;

/// <summary>
/// What all optimisers share: state vectors, rates and decay of the slices, and a step of two passes, which threads share. One over the
/// gradients for their norm, which also finds what is not finite, and one that preconditions, clips, moves state and weights, and leaves
/// zero gradients for the next backward; there the optimiser has only its own arithmetic on a piece. Weights need no packing: the kernels
/// read them where they are.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal abstract unsafe class Optimizer<T> : IOptimizer<T>, ITrainingPart, ILeased
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const string StepsKey = "steps";
    private readonly ParameterVector<T> _parameters;
    private readonly ParameterVector<T>[] _state;
    private readonly Hold[] _holds;
    private readonly GradientPass<T> _pass;
    private readonly (double Rate, double Decay)[] _slices;

    /// <summary>Creates an optimiser with a state of zeros.</summary>
    /// <param name="own">The optimiser's own options.</param>
    /// <param name="parameters">What it changes.</param>
    /// <param name="training">Rates, decay, clipping, preconditioning.</param>
    /// <param name="trained">Whether a slice is trained; the others stay as they are and do not count in the norm. Null trains all.</param>
    protected Optimizer(OptimizerOptions own, ParameterVector<T> parameters, TrainerOptions training, Func<ParameterSlice, bool>? trained)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(training);
        own.Validate();
        training.Validate();
        _parameters = parameters;
        _pass = new GradientPass<T>(parameters, training, trained);
        _slices = [.. parameters.Slices.Select(slice => ParameterGroup.Apply(training.Groups, slice, own.RateAndDecay(slice, training)))];
        HighestRate = _slices.Select(slice => slice.Rate).DefaultIfEmpty(0).Max();
        Lease = new Lease(this);
        _state = [.. Enumerable.Range(0, own.StateVectors).Select(_ => parameters.CreateLike(trained))];
        _holds = new Hold[_state.Length];
        StateVectors = Array.AsReadOnly(_state);
    }

    /// <inheritdoc/>
    public int Steps { get; private set; }

    /// <inheritdoc/>
    public IReadOnlyList<ParameterVector<T>> StateVectors { get; }

    internal Lease Lease { get; }

    /// <summary>Highest learning rate of a slice.</summary>
    protected double HighestRate { get; }

    /// <summary>The largest gradient that it can work with, and what of a larger one overflows.</summary>
    protected abstract (double Gradient, string What) Largest { get; }

    /// <inheritdoc/>
    public double Step(ParameterVector<T> gradients, double rateFactor, WorkerPool workers)
    {
        double norm = GradientNorm(gradients, workers);
        Step(gradients, rateFactor, workers, norm);
        return norm;
    }

    /// <inheritdoc/>
    public double GradientNorm(ParameterVector<T> gradients, WorkerPool workers)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        ArgumentNullException.ThrowIfNull(workers);
        RequireAll(gradients);
        using Hold sums = gradients.Lease.Share(), own = Lease.Claim();
        return _pass.Norm(gradients, workers);
    }

    /// <inheritdoc/>
    public void Step(ParameterVector<T> gradients, double rateFactor, WorkerPool workers, double norm)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        ArgumentNullException.ThrowIfNull(workers);
        RequireAll(gradients);
        if (!(rateFactor >= 0 && double.IsFinite(rateFactor)))
        {
            throw new InvalidSettingException(nameof(rateFactor), rateFactor, "use a factor of the learning rate, 0 or more.");
        }

        if (!(norm >= 0 && double.IsFinite(norm))) throw new InvalidSettingException(nameof(norm), norm, "pass the norm that GradientNorm gives.");
        RequireRange(gradients, norm);
        using Hold values = _parameters.Lease.Share(), sums = gradients.Lease.Share(), own = Lease.Claim();
        int held = 0;
        try
        {
            for (; held < _state.Length; held++) _holds[held] = _state[held].Lease.Share();
            Begin(++Steps);
            StepWork work = new(this, gradients, rateFactor, _pass.Scale(norm));
            workers.For(_pass.Pieces.Length, ref work);
            Finish(gradients, rateFactor, workers);
        }
        finally
        {
            while (held > 0) _holds[--held].Dispose();
        }
    }

    /// <summary>Requires that a step can work with the gradients, before anything is changed.</summary>
    /// <param name="gradients">Gradients.</param>
    /// <param name="norm">Norm of all parts together.</param>
    /// <exception cref="NonFiniteException">One is too large; its slice is named.</exception>
    internal void RequireRange(ParameterVector<T> gradients, double norm)
    {
        using Hold sums = gradients.Lease.Share();
        (double largest, string what) = Largest;
        _pass.Require(gradients, norm, largest, what);
    }

    /// <summary>Counts a step that changes nothing.</summary>
    internal void Skip() => Steps++;

    /// <inheritdoc/>
    public virtual void Save(StateWriter state)
    {
        using Hold own = Lease.Claim();
        state.Add(StepsKey, Steps);
        for (int vector = 0; vector < _state.Length; vector++) state.Add(FormattableString.Invariant($"{vector}"), _state[vector]);
    }

    /// <inheritdoc/>
    public virtual void Load(StateReader state)
    {
        using Hold own = Lease.Claim();
        int steps = state.Fields.Whole(StepsKey, 0, int.MaxValue);
        for (int vector = 0; vector < _state.Length; vector++) state.Read(FormattableString.Invariant($"{vector}"), _state[vector]);
        state.Then(() => Steps = steps);
    }

    /// <summary>Frees the state, after the step that is using it.</summary>
    public void Dispose() => Lease.Dispose();

    void ILeased.Free()
    {
        foreach (ParameterVector<T> vector in _state) vector.Dispose();
        FreeScratch();
    }

    /// <summary>Prepares a step, whose number is from 1.</summary>
    protected virtual void Begin(int step)
    {
    }

    /// <summary>Moves the state and weights of a piece and leaves its gradients zero, unless <see cref="Finish"/> does.</summary>
    /// <param name="piece">The piece.</param>
    protected abstract void Update(in OptimizerPiece<T> piece);

    /// <summary>Does what takes more than a piece at a time, when all pieces are done; the gradients must be zero then.</summary>
    protected virtual void Finish(ParameterVector<T> gradients, double rateFactor, WorkerPool workers)
    {
    }

    /// <summary>Frees what a step works in beside the state.</summary>
    protected virtual void FreeScratch()
    {
    }

    /// <summary>First of the weights of a slice.</summary>
    protected T* Weights(int slice) => _parameters.At(_parameters.Slices[slice]);

    /// <summary>Highest learning rate and decay of a slice.</summary>
    protected (double Rate, double Decay) RateAndDecayOf(int slice) => _slices[slice];

    /// <summary>The elements of a state vector that belong to a piece.</summary>
    protected T* State(int vector, in OptimizerPiece<T> piece) => _state[vector].At(_parameters.Slices[piece.Slice]) + piece.First;

    private void RequireAll(ParameterVector<T> gradients)
    {
        _parameters.RequireLayout("optimizer", gradients);
        _pass.RequireTrained(gradients);
    }

    private readonly struct StepWork(Optimizer<T> optimizer, ParameterVector<T> gradients, double rateFactor, double scale) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            (int s, int first, int length) = optimizer._pass.Pieces[item];
            (double rate, double decay) = optimizer._slices[s];
            T* gradient = gradients.At(optimizer._parameters.Slices[s]) + first;
            double left = optimizer._pass.Precondition(item, gradient, scale);
            optimizer.Update(new OptimizerPiece<T>(s, optimizer.Weights(s) + first, gradient, first, length, rateFactor * rate, decay, left));
        }
    }
}

/// <summary>A piece of the parameters in a step.</summary>
/// <typeparam name="T">Element type.</typeparam>
/// <param name="slice">Its slice's place among the slices.</param>
/// <param name="weights">First of its weights.</param>
/// <param name="gradients">First of its gradients.</param>
/// <param name="first">Where it begins in its slice.</param>
/// <param name="length">Elements.</param>
/// <param name="rate">Learning rate of this step.</param>
/// <param name="decay">Weight decay; 0 for biases and LayerNorms.</param>
/// <param name="scale">What the gradients must be multiplied by.</param>
internal readonly unsafe ref struct OptimizerPiece<T>(int slice, T* weights, T* gradients, int first, int length, double rate, double decay, double scale)
    where T : unmanaged, IFloatingPointIeee754<T>
{
    public int Slice { get; } = slice;

    public T* Weights { get; } = weights;

    public T* Gradients { get; } = gradients;

    public int First { get; } = first;

    public int Length { get; } = length;

    public double Rate { get; } = rate;

    public double Decay { get; } = decay;

    public double Scale { get; } = scale;
}
