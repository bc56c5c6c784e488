using System.Numerics;
using RbeMl.Codec;
using RbeMl.Memory;
using static RbeMl.Layers.BlockPanel;

namespace RbeMl.Layers;

/// <summary>One of the six matrices of a block, in the order of its parameters.</summary>
public enum BlockMatrix
{
    /// <summary>[D, D].</summary>
    Query,

    /// <summary>[D, D].</summary>
    Key,

    /// <summary>[D, D].</summary>
    Value,

    /// <summary>[D, D], attention's projection back to the residual stream.</summary>
    Output,

    /// <summary>[F, D].</summary>
    UpProjection,

    /// <summary>[D, F].</summary>
    DownProjection,
}

/// <summary>
/// The panels of a call; those called coefficients are transformed: there products are computed. First those that a context may keep, in the order
/// in which it puts them away (what a leaner policy keeps comes first), then those of a call alone.
/// </summary>
internal enum BlockPanel
{
    /// <summary>x, the caller's.</summary>
    Input,

    /// <summary>x + attention half, the input of the feed-forward half.</summary>
    Middle,

    /// <summary>LN1(x).</summary>
    X1Coefficients,

    /// <summary>Query, key, value, one below the other.</summary>
    Qkv,

    /// <summary>Attention output before its projection.</summary>
    Att,

    /// <summary>LN2(middle).</summary>
    X2Coefficients,

    /// <summary>Input of GELU.</summary>
    Hidden,

    /// <summary>Att.</summary>
    AttCoefficients,

    /// <summary>Output of GELU.</summary>
    HiddenCoefficients,

    /// <summary>y, or the gradient of x in a backward; the caller's.</summary>
    Result,

    /// <summary>Moments of the four coefficients, for the alphas.</summary>
    InputMoments,

    /// <summary>Moments of the four gradients that are coefficients.</summary>
    GradientMoments,

    /// <summary>Gradient of what Contract writes.</summary>
    DownGradientCoefficients,

    /// <summary>Gradient of what Expand writes.</summary>
    UpGradientCoefficients,

    /// <summary>Gradient of what the attention's output matrix writes.</summary>
    OutputGradientCoefficients,

    /// <summary>Gradient of Qkv; later the same in coefficients.</summary>
    QkvGradient,

    /// <summary>Gradient of Att.</summary>
    AttGradient,

    /// <summary>Gradient of Middle.</summary>
    MiddleGradient,
}

/// <summary>The vectors of a block, in the order of a chunk's sums for their gradients.</summary>
internal enum BlockVector
{
    DownProjectionBias,
    Gamma2,
    Beta2,
    UpProjectionBias,
    OutputBias,
    QueryBias,
    KeyBias,
    ValueBias,
    Gamma1,
    Beta1,
}

/// <summary>
/// Where things lie in a block of one shape: its six matrices, the panels of a call and which of them a context keeps, moments, sums of a
/// chunk; and so how much memory a call takes, known before it. D and F are widths, Dp and Fp the same in whole tiles.
/// </summary>
internal sealed class BlockLayout
{
    private const int Factors = BasisFunctions.FactorCount;
    private const int Norms = 2;

    // The six matrices: name, coefficients that it reads, panel that it writes, coefficients of that one's gradient, bias.
    private static readonly MatrixRow[] s_matrices =
    [
        new(BlockMatrix.Query, "attention.query", X1Coefficients, Qkv, QkvGradient, BlockVector.QueryBias),
        new(BlockMatrix.Key, "attention.key", X1Coefficients, Qkv, QkvGradient, BlockVector.KeyBias),
        new(BlockMatrix.Value, "attention.value", X1Coefficients, Qkv, QkvGradient, BlockVector.ValueBias),
        new(BlockMatrix.Output, "attention.output", AttCoefficients, Middle, OutputGradientCoefficients, BlockVector.OutputBias),
        new(BlockMatrix.UpProjection, "feedforward.expand", X2Coefficients, Hidden, UpGradientCoefficients, BlockVector.UpProjectionBias),
        new(BlockMatrix.DownProjection, "feedforward.contract", HiddenCoefficients, Result, DownGradientCoefficients, BlockVector.DownProjectionBias),
    ];

    private readonly (BlockPanel Panel, int Features, int Rows, CheckpointPolicy? Kept)[] _panels;
    private readonly int[] _inputMoments = new int[Enum.GetValues<BlockPanel>().Length], _gradientMoments = new int[s_matrices.Length];
    private readonly BlockPanel[][] _kept;
    private readonly int[] _sums = new int[Enum.GetValues<BlockVector>().Length];

    /// <summary>The layout of blocks of a configuration and tile edge.</summary>
    public BlockLayout(TransformerConfig config, int tile)
    {
        (Width, HiddenWidth, Heads, Tile) = (config.Width, config.HiddenWidth, config.Heads, tile);
        int d = Width, dp = PaddedWidth = Panel<float>.RoundUp(Width, tile), fp = PaddedHidden = Panel<float>.RoundUp(HiddenWidth, tile);
        int inputs = 0, gradients = 0;
        foreach (BlockPanel coefficients in Inputs)
        {
            _inputMoments[(int)coefficients] = inputs;
            inputs += (coefficients == HiddenCoefficients ? fp : dp) / tile * Factors;
        }

        foreach (BlockMatrix m in BackwardOrder)
        {
            _gradientMoments[(int)m] = gradients;
            gradients += (m == BlockMatrix.UpProjection ? fp : dp) / tile * Factors;
        }

        foreach (BlockVector vector in Enum.GetValues<BlockVector>())
        {
            _sums[(int)vector] = Sums;
            Sums += vector == BlockVector.UpProjectionBias ? HiddenWidth : Width;
        }

        // Panel, features, rows of a chunk, the leanest policy that keeps it.
        _panels =
        [
            (Input, d, dp, CheckpointPolicy.Full),
            (Middle, d, dp, CheckpointPolicy.Full),
            (X1Coefficients, dp, dp, CheckpointPolicy.Selective),
            (Qkv, 3 * dp, 3 * dp, CheckpointPolicy.Selective),
            (Att, d, dp, CheckpointPolicy.Selective),
            (X2Coefficients, dp, dp, CheckpointPolicy.Selective),
            (Hidden, fp, fp, CheckpointPolicy.Selective),
            (AttCoefficients, dp, dp, CheckpointPolicy.None),
            (HiddenCoefficients, fp, fp, CheckpointPolicy.None),
            (Result, d, dp, null),
            (InputMoments, inputs, inputs, null),
            (GradientMoments, gradients, gradients, null),
            (DownGradientCoefficients, dp, dp, null),
            (UpGradientCoefficients, fp, fp, null),
            (OutputGradientCoefficients, dp, dp, null),
            (QkvGradient, 3 * dp, 3 * dp, null),
            (AttGradient, dp, dp, null),
            (MiddleGradient, d, dp, null),
        ];
        BlockPanel[] all = Enum.GetValues<BlockPanel>();
        _kept = [.. Enum.GetValues<CheckpointPolicy>().Select(policy => Array.FindAll(all, p => Saves(policy, p)))];
    }

    /// <summary>The coefficients that matrices read.</summary>
    public static BlockPanel[] Inputs { get; } = [X1Coefficients, AttCoefficients, X2Coefficients, HiddenCoefficients];

    /// <summary>The matrices in the order in which a backward comes to them.</summary>
    public static BlockMatrix[] BackwardOrder { get; } =
        [BlockMatrix.DownProjection, BlockMatrix.UpProjection, BlockMatrix.Output, BlockMatrix.Query, BlockMatrix.Key, BlockMatrix.Value];

    /// <summary>The panels of a backward alone.</summary>
    public static BlockPanel[] BackwardPanels { get; } = [.. Enum.GetValues<BlockPanel>().Where(p => p > Result)];

    /// <summary>D.</summary>
    public int Width { get; }

    /// <summary>F.</summary>
    public int HiddenWidth { get; }

    /// <summary>H.</summary>
    public int Heads { get; }

    /// <summary>Tile edge.</summary>
    public int Tile { get; }

    /// <summary>Dp.</summary>
    public int PaddedWidth { get; }

    /// <summary>Fp.</summary>
    public int PaddedHidden { get; }

    /// <summary>Elements of a chunk's sums for the gradients of the vectors.</summary>
    public int Sums { get; }

    /// <summary>Elements of the decoded vectors of the LayerNorms.</summary>
    public long NormVectors => 2L * Norms * PaddedWidth;

    /// <summary>Name of a matrix within its block.</summary>
    public static string NameOf(BlockMatrix matrix) => s_matrices[(int)matrix].Name;

    /// <summary>Outputs and inputs of a matrix.</summary>
    public static (int Rows, int Columns) ShapeOf(TransformerConfig config, BlockMatrix matrix) =>
        (matrix == BlockMatrix.UpProjection ? config.HiddenWidth : config.Width,
        matrix == BlockMatrix.DownProjection ? config.HiddenWidth : config.Width);

    /// <summary>Whether a matrix writes to the residual stream.</summary>
    public static bool WritesStream(BlockMatrix matrix) => s_matrices[(int)matrix].Writes is Middle or Result;

    /// <summary>The matrices that read a panel of coefficients.</summary>
    public static IEnumerable<BlockMatrix> ReadersOf(BlockPanel coefficients) => s_matrices.Where(m => m.Reads == coefficients).Select(m => m.Matrix);

    /// <summary>The panel of coefficients that a matrix reads.</summary>
    public static BlockPanel InputOf(BlockMatrix matrix) => s_matrices[(int)matrix].Reads;

    /// <summary>The gradient, in coefficients, of what a matrix writes.</summary>
    public static BlockPanel GradientOf(BlockMatrix matrix) => s_matrices[(int)matrix].Gradient;

    /// <summary>The bias of a matrix.</summary>
    public static BlockVector BiasOf(BlockMatrix matrix) => s_matrices[(int)matrix].Bias;

    /// <summary>Whether a policy keeps a panel.</summary>
    public bool Saves(CheckpointPolicy? policy, BlockPanel panel) => policy <= _panels[(int)panel].Kept;

    /// <summary>Whether a policy keeps the statistics of LayerNorms and softmax.</summary>
    public static bool KeepsStatistics(CheckpointPolicy? policy) => policy <= CheckpointPolicy.Selective;

    /// <summary>The panels that a policy keeps, in the order in which they are put away.</summary>
    public ReadOnlySpan<BlockPanel> Saved(CheckpointPolicy policy) => _kept[(int)policy];

    /// <summary>Gives a panel its shape.</summary>
    /// <param name="which">Which it is.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="tokens">N.</param>
    public void Reshape<T>(BlockPanel which, Panel<T> panel, int tokens)
        where T : unmanaged
    {
        // Attention writes the features and tokens there are, and no padding between them.
        bool clear = which is Att or QkvGradient && (PaddedWidth != Width || tokens % Panel<T>.LanesFor(tokens) != 0);
        panel.Reshape(tokens, _panels[(int)which].Features, _panels[(int)which].Rows, clear);
    }

    /// <summary>Rows of a chunk of a panel.</summary>
    public int Rows(BlockPanel panel) => _panels[(int)panel].Rows;

    /// <summary>First row of a panel of coefficients in <see cref="InputMoments"/>.</summary>
    public int InputAlphaMoments(BlockPanel coefficients) => _inputMoments[(int)coefficients];

    /// <summary>First row of the moments of a matrix's gradient in <see cref="GradientMoments"/>.</summary>
    public int GradientAlphaMoments(BlockMatrix matrix) => _gradientMoments[(int)matrix];

    /// <summary>First row of a matrix in its gradient's panel.</summary>
    public int GradientRowOf(BlockMatrix matrix) => GradientOf(matrix) == QkvGradient ? (int)matrix * PaddedWidth : 0;

    /// <summary>Place of a vector in a chunk's sums.</summary>
    public int SumOf(BlockVector vector) => _sums[(int)vector];

    /// <summary>Elements of mean and 1 / deviation of both LayerNorms.</summary>
    public static long Statistics(int tokens) => 2 * Norms * Panel<float>.Elements(tokens, 1);

    /// <summary>Elements of maximum and inverse sum of the attention's exponentials, [B, H, 2, T rounded up to 16].</summary>
    public long RowStatistics(int batch, int length) => 2L * batch * Heads * Panel<float>.RoundUp(length, 16);

    /// <summary>Bytes of a context's store after a forward of [B, T].</summary>
    public long StoreBytes<T>(CheckpointPolicy policy, ActivationOffload offload, int batch, int length)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (offload is ActivationOffload.None) return 0;
        bool rounded = offload is ActivationOffload.BFloat16;
        long bytes = 0;
        foreach (BlockPanel panel in Saved(policy)) bytes += ActivationStore<T>.BytesOf(Elements(panel, batch * length), rounded);
        if (!KeepsStatistics(policy)) return bytes;
        bytes += ActivationStore<T>.BytesOf(Statistics(batch * length), rounded: false);
        return bytes + ActivationStore<T>.BytesOf(RowStatistics(batch, length), rounded: false);
    }

    /// <summary>Elements that a context keeps of its own without offload: not the input.</summary>
    public long SavedElements(CheckpointPolicy policy, int batch, int length)
    {
        long elements = KeepsStatistics(policy) ? Statistics(batch * length) + RowStatistics(batch, length) : 0;
        foreach (BlockPanel panel in Saved(policy)[1..]) elements += Elements(panel, batch * length);
        return elements;
    }

    /// <summary>
    /// Elements of the panels that all blocks of a workspace share, for forward and backward, scratch of the threads apart.
    /// </summary>
    public long SharedElements(CheckpointPolicy policy, ActivationOffload offload, int batch, int length)
    {
        int tokens = batch * length;
        long saved = offload is ActivationOffload.None ? SavedElements(policy, batch, length) : -Elements(Input, tokens);
        long sums = Panel<float>.Elements(tokens, 1) / Panel<float>.LanesFor(tokens) * Sums;
        long backward = NormVectors + BackwardPanels.Sum(p => Elements(p, tokens)) + sums;
        return SavedElements(CheckpointPolicy.None, batch, length) - saved + backward;
    }

    private long Elements(BlockPanel panel, int tokens) => Panel<float>.Elements(tokens, Rows(panel));

    private readonly record struct MatrixRow(
        BlockMatrix Matrix, string Name, BlockPanel Reads, BlockPanel Writes, BlockPanel Gradient, BlockVector Bias);
}
