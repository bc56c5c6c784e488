using System.Numerics;
using RbeMl.Memory;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Support;

/// <summary>Between arrays, native buffers and tensors.</summary>
internal static class Tensors
{
    /// <summary>A tensor of the array's type and values.</summary>
    public static Tensor From(double[] values, params long[] shape) => tensor(values).reshape(shape);

    /// <inheritdoc cref="From(double[], long[])"/>
    public static Tensor From(float[] values, params long[] shape) => tensor(values).reshape(shape);

    /// <summary>A leaf that collects its gradient.</summary>
    public static Tensor Leaf(double[] values, params long[] shape) => From(values, shape).requires_grad_();

    /// <summary>The values in row-major order, as double.</summary>
    public static double[] ToDoubles(this Tensor tensor) => tensor.detach().to(float64).contiguous().data<double>().ToArray();

    /// <summary>The gradient of a leaf in row-major order; an error when it has none.</summary>
    public static double[] Gradient(this Tensor leaf) =>
        (leaf.grad ?? throw new InvalidOperationException("The leaf took no part in the loss.")).ToDoubles();

    /// <summary>A native buffer with the values converted to <typeparamref name="T"/>.</summary>
    public static NativeBuffer<T> Native<T>(double[] values)
        where T : unmanaged, INumberBase<T>
    {
        NativeBuffer<T> buffer = new(values.Length);
        Numbers.Convert<double, T>(values).CopyTo(buffer.Span);
        return buffer;
    }

    /// <summary>
    /// A native buffer of <paramref name="rows"/> rows of <paramref name="stride"/> elements, of which the first columns hold the values
    /// and the rest zero.
    /// </summary>
    public static NativeBuffer<T> Strided<T>(double[] values, int rows, int stride)
        where T : unmanaged, INumberBase<T>
    {
        int columns = values.Length / rows;
        NativeBuffer<T> buffer = new((long)rows * stride);
        for (int r = 0; r < rows; r++)
        {
            Numbers.Convert<double, T>(values.AsSpan(r * columns, columns)).CopyTo(buffer.Span[(r * stride)..]);
        }

        return buffer;
    }

    /// <summary>The first <paramref name="columns"/> elements of each row of a strided buffer.</summary>
    public static T[] Columns<T>(this NativeBuffer<T> buffer, int stride, int columns)
        where T : unmanaged
    {
        int rows = (int)(buffer.Length / stride);
        T[] values = new T[rows * columns];
        for (int r = 0; r < rows; r++) buffer.Span.Slice(r * stride, columns).CopyTo(values.AsSpan(r * columns));
        return values;
    }
}
