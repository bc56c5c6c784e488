using System.Numerics;
using RbeMl.Files;
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
    private readonly NativeBuffer<T>[] _shared; // in its place, where this rank has a share
    private readonly OptimizerShare? _share;
    private readonly long[] _places; // of pieces in a state vector
    private readonly Func<ParameterSlice, bool>? _trained;
    private readonly Hold[] _holds;
    private readonly GradientPass<T> _pass;
    private readonly (double Rate, double Decay)[] _slices;

    /// <summary>Creates an optimiser with a state of zeros.</summary>
    /// <param name="own">The optimiser's own options.</param>
    /// <param name="parameters">What it changes.</param>
    /// <param name="training">Rates, decay, clipping, preconditioning.</param>
    /// <param name="trained">Whether a slice is trained; the others stay as they are and do not count in the norm. Null trains all.</param>
    /// <param name="share">What of it this rank does; null for all.</param>
    protected Optimizer(OptimizerOptions own, ParameterVector<T> parameters, TrainerOptions training, Func<ParameterSlice, bool>? trained,
        OptimizerShare? share)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(training);
        own.Validate();
        training.Validate();
        _parameters = parameters;
        (_share, _trained) = (share, trained);
        _pass = new GradientPass<T>(parameters, training, trained, share);
        _slices = [.. parameters.Slices.Select(slice => ParameterGroup.Apply(training.Groups, slice, own.RateAndDecay(slice, training)))];
        HighestRate = _slices.Select(slice => slice.Rate).DefaultIfEmpty(0).Max();
        Lease = new Lease(this);
        _state = [.. Enumerable.Range(0, share is null ? own.StateVectors : 0).Select(_ => parameters.CreateLike(trained))];
        _shared = [.. Enumerable.Range(0, share is null ? 0 : own.StateVectors).Select(_ => new NativeBuffer<T>(share!.Length))];
        _places = share?.Places ?? GradientPieces.Starts(_pass.Pieces.ToArray());
        _holds = new Hold[_state.Length];
        StateVectors = Array.AsReadOnly(_state);
    }

    /// <inheritdoc/>
    public int Steps { get; private set; }

    /// <inheritdoc/>
    public IReadOnlyList<ParameterVector<T>> StateVectors { get; }

    internal Lease Lease { get; }

    /// <summary>Whether this rank has a part of the state and does a part of each step: all ranks step together.</summary>
    internal bool IsShared => _share is not null;

    /// <summary>Bytes of native memory of its state.</summary>
    internal virtual long AllocatedBytes => _state.Sum(vector => vector.AllocatedBytes) + _shared.Sum(vector => vector.AllocatedBytes);

    /// <summary>The state of all ranks while it is saved; null where one rank has all, or none is.</summary>
    protected SharedState? Shared { get; private set; }

    /// <summary>Pieces of what is trained.</summary>
    protected ReadOnlySpan<(int Slice, int First, int Length)> Pieces => _pass.Pieces;

    /// <summary>Those that this rank moves.</summary>
    protected ReadOnlySpan<int> OwnPieces => _pass.Own;

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
            workers.For(_pass.Own.Length, ref work);
            Finish(gradients, rateFactor, workers);
            _share?.Exchange(_parameters, gradients, workers);
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
        for (int vector = 0; vector < _state.Length; vector++) state.Add(NameOf(vector), _state[vector]);
        for (int vector = 0; vector < _shared.Length; vector++)
        {
            T* values = _shared[vector].Pointer;
            state.AddFloats(NameOf(vector), SumOf(_pass.Pieces), Shared!.Add(length => sizeof(T) * length, piece => (nint)(values + _places[piece])));
        }
    }

    /// <inheritdoc/>
    public virtual void Load(StateReader state)
    {
        using Hold own = Lease.Claim();
        int steps = state.Fields.Whole(StepsKey, 0, int.MaxValue);
        for (int vector = 0; vector < _state.Length; vector++) state.Read(NameOf(vector), _state[vector]);
        for (int vector = 0; vector < _shared.Length; vector++)
        {
            float* values = (float*)_shared[vector].Pointer;
            state.Read(NameOf(vector), _parameters.Layout, _trained, (slice, place, some) => _share!.Fill(slice, place, some, values));
        }

        state.Then(() => Steps = steps);
    }

    /// <summary>
    /// Saves a state that ranks share, which all do together: the first writes, and the others send. What fails of the first then is no failure of the
    /// others.
    /// </summary>
    /// <param name="room">The gradients of what is trained, zero between steps.</param>
    /// <param name="write">Writes the file; null on other ranks.</param>
    internal void SaveShared(ParameterVector<float> room, Action? write)
    {
        Shared = new SharedState(_share!, room);
        try
        {
            if (write is null) Save(new StateWriter("")); // says what there is to send
            else write();
        }
        finally
        {
            if (Shared.Vectors == 0) Save(new StateWriter("")); // the first failed before it came to that
            Shared.Finish();
            Shared = null;
        }
    }

    /// <summary>Requires this rank's part of a shared state to be worth keeping.</summary>
    /// <exception cref="NonFiniteException">A value is NaN or infinite: nobody goes on from there.</exception>
    internal void RequireFinite()
    {
        foreach (NativeBuffer<T> vector in _shared)
        {
            foreach (int piece in _pass.Own)
            {
                (int s, int first, int length) = _pass.Pieces[piece];
                FiniteWeights.CheckTrained(
                    _parameters.Slices[s].Name, new ReadOnlySpan<float>((float*)vector.Pointer + _places[piece], length), first);
            }
        }
    }

    /// <summary>Frees the state, after the step that is using it.</summary>
    public void Dispose() => Lease.Dispose();

    void ILeased.Free()
    {
        foreach (ParameterVector<T> vector in _state) vector.Dispose();
        foreach (NativeBuffer<T> vector in _shared) vector.Dispose();
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
    protected T* State(int vector, in OptimizerPiece<T> piece) =>
        (_share is null ? _state[vector].Pointer : _shared[vector].Pointer) + piece.Place;

    private static string NameOf(int vector) => FormattableString.Invariant($"{vector}");

    private static long SumOf(ReadOnlySpan<(int Slice, int First, int Length)> pieces)
    {
        long sum = 0;
        foreach ((_, _, int length) in pieces) sum += length;
        return sum;
    }

    private void RequireAll(ParameterVector<T> gradients)
    {
        _parameters.RequireLayout("optimizer", gradients);
        _pass.RequireTrained(gradients);
        _share?.Require(gradients.Length);
    }

    private readonly struct StepWork(Optimizer<T> optimizer, ParameterVector<T> gradients, double rateFactor, double scale) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            int piece = optimizer._pass.Own[item];
            (int s, int first, int length) = optimizer._pass.Pieces[piece];
            (double rate, double decay) = optimizer._slices[s];
            T* gradient = gradients.At(optimizer._parameters.Slices[s]) + first;
            double left = optimizer._pass.Precondition(piece, gradient, scale);
            optimizer.Update(new OptimizerPiece<T>(
                piece, s, optimizer.Weights(s) + first, gradient, optimizer._places[piece], length, rateFactor * rate, decay, left));
        }
    }
}

/// <summary>A piece of the parameters in a step.</summary>
/// <typeparam name="T">Element type.</typeparam>
/// <param name="index">Its place among the pieces.</param>
/// <param name="slice">Its slice's place among the slices.</param>
/// <param name="weights">First of its weights.</param>
/// <param name="gradients">First of its gradients.</param>
/// <param name="place">Where it begins in a state vector.</param>
/// <param name="length">Elements.</param>
/// <param name="rate">Learning rate of this step.</param>
/// <param name="decay">Weight decay; 0 for biases and LayerNorms.</param>
/// <param name="scale">What the gradients must be multiplied by.</param>
internal readonly unsafe ref struct OptimizerPiece<T>(
    int index, int slice, T* weights, T* gradients, long place, int length, double rate, double decay, double scale)
    where T : unmanaged, IFloatingPointIeee754<T>
{
    public int Index { get; } = index;

    public int Slice { get; } = slice;

    public T* Weights { get; } = weights;

    public T* Gradients { get; } = gradients;

    public long Place { get; } = place;

    public int Length { get; } = length;

    public double Rate { get; } = rate;

    public double Decay { get; } = decay;

    public double Scale { get; } = scale;
}
