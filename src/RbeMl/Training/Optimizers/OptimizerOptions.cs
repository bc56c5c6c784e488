using System.Numerics;
using RbeMl.Layers;

namespace RbeMl.Training;

/// <summary>
/// Which optimiser trains, with the options that it alone has. A new optimiser is a record of this kind, its class and kernel, and a place
/// in <see cref="All"/>.
/// </summary>
public abstract record OptimizerOptions
{
    private protected OptimizerOptions()
    {
    }

    /// <summary>Every optimiser with its default options; the first is the default.</summary>
    public static IReadOnlyList<OptimizerOptions> All { get; } = [new AdamWOptions(), new SgdOptions(), new LionOptions(), new MuonOptions(),
        new AdamW8Options()];

    /// <summary>What to give where none is given, in words.</summary>
    internal static string Choices => $"use one of {string.Join(", ", All.Select(options => options.GetType().Name))}.";

    /// <summary>Its word on the command line.</summary>
    public abstract string Name { get; }

    /// <summary>Vectors of the size of what is trained that it remembers from step to step.</summary>
    public abstract int StateVectors { get; }

    /// <summary>The learning rate that suits it where AdamW would have the one given: its default.</summary>
    /// <param name="adamW">AdamW's.</param>
    public virtual double RateFor(double adamW) => adamW;

    /// <summary>The weight decay that suits it where AdamW would have the one given, at default rates of both: its default.</summary>
    /// <param name="adamW">AdamW's.</param>
    public virtual double DecayFor(double adamW) => adamW;

    /// <summary>Itself and its own options in words.</summary>
    public abstract string Describe();

    /// <summary>Checks every value.</summary>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    internal abstract void Validate();

    /// <summary>Elements that a thread works in during a step, beside the state.</summary>
    /// <param name="slices">What it trains.</param>
    internal virtual long ScratchElements(IReadOnlyList<ParameterSlice> slices) => 0;

    /// <summary>Bytes that it remembers from step to step beside <see cref="StateVectors"/>.</summary>
    /// <param name="slices">What it trains.</param>
    internal long CodedStateBytes(IEnumerable<ParameterSlice> slices) => slices.Sum(slice => CodedBytes(slice.Length));

    /// <summary>The same of values of a slice, from a multiple of <see cref="GradientPieces.Most"/> on.</summary>
    /// <param name="values">How many.</param>
    internal virtual long CodedBytes(long values) => 0;

    /// <summary>Whether a step takes the whole of a slice together, so that ranks cannot divide it.</summary>
    internal virtual bool TakesWhole(ParameterSlice slice) => false;

    /// <summary>Creates the optimiser with a state of zeros.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="parameters">What it changes.</param>
    /// <param name="training">Rates, decay, clipping, preconditioning.</param>
    /// <param name="trained">Whether a slice is trained; null trains all.</param>
    /// <param name="share">What of it this rank does; null for all.</param>
    internal abstract Optimizer<T> Create<T>(
        ParameterVector<T> parameters, TrainerOptions training, Func<ParameterSlice, bool>? trained = null, OptimizerShare? share = null)
        where T : unmanaged, IFloatingPointIeee754<T>;

    /// <summary>
    /// Highest learning rate and decay of a slice: none of biases and LayerNorms. An optimiser whose steps do not depend on the gradient's
    /// size moves a value that is s times as large by s times as much.
    /// </summary>
    /// <param name="slice">The slice.</param>
    /// <param name="training">The settings.</param>
    internal virtual (double Rate, double Decay) RateAndDecay(ParameterSlice slice, TrainerOptions training)
    {
        double rate = (slice.Kind, training.CoefficientLearningRate) switch
        {
            (ParameterKind.Coefficient, { } own) => own,
            (ParameterKind.Alpha, { } own) => own / Math.Sqrt(slice.Gram![0]), // Gram[0] = <1, 1> = B²
            _ => training.LearningRate * slice.RateScale,
        };
        return (rate, slice.Kind is ParameterKind.Bias or ParameterKind.LayerNorm ? 0 : training.WeightDecay);
    }

    private protected static void RequireFraction(string name, double value)
    {
        if (value is not (>= 0 and < 1)) throw new InvalidSettingException(name, value, "use a number from 0 up to, but not, 1.");
    }
}
